"""Benchmarks: the times of a bed, a reading and a replay, compared with other tools for the same work."""
