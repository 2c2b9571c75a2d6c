"""Benchmarks of the whole system: `make bench`."""
