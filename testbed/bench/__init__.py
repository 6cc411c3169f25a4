"""Benchmarks: how long a bed, a reading and a replay take, beside what else does the same work."""
