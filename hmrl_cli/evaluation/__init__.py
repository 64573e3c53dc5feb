"""Evaluation: numbers only, without files or output."""
