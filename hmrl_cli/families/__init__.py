"""Task families: one file each, with a `Config` and `make(config) -> TaskFamily`."""
