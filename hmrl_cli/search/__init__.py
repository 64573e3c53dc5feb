"""Adaptation in the space of skills: where the reward was, and where it may still be."""
