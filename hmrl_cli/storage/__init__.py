"""A run on disk: written by one process, verified when it is read."""
