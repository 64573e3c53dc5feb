"""The command line: the only wing that prints, exits or reads argv."""
