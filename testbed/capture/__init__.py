"""A real host's network in one text: the script that takes it, its reader, and the host that a bed makes of it."""
