"""Compose files as they are: the specification's rules for reading them, and the host that an engine makes of one."""
