"""Exposure specs: a file that says who may reach what, held against a rule set over all packets."""
