"""What the commands do, one file for each command or step."""
