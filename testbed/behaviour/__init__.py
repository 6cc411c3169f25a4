"""Behaviours of a rule set, found by sending probes through the kernel, and differences between two rule sets."""
