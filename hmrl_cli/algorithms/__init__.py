"""Algorithms: one file each, with a `Config` and `build(config, family) -> Learner`."""
