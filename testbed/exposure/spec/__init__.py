"""Exposure specs: a file that says who may reach what, and its proof for a rule set over all packets."""
