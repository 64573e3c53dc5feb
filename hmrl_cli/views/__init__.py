"""Families as the environments of other libraries."""
