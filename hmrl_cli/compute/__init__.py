"""Compiled epochs, sharding over devices, and checks for finite numbers."""
