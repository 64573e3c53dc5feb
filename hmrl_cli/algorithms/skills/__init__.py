"""Learners of skills without reward, one file each."""
