"""Learners of one task from scratch; one file each."""
