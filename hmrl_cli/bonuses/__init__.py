"""Exploration bonuses: one file each, with a `Config` and `make(config, family) -> Bonus`."""
