"""Learners of tasks; one file each."""
