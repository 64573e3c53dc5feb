"""Suites: many runs that one file declares, their order, their state, and one table of their results."""
