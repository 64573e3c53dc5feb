"""Meta-learners, one file each."""
