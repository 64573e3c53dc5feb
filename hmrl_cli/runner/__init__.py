"""What a command does, one file for each deed."""
