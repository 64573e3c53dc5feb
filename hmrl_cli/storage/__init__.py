"""A run on disk.  One process writes it; whoever reads it verifies it."""
