"""Learners of training tasks from scratch, one file each."""
