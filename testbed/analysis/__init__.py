"""Sets of packets, and a host's packet path as functions over them: exact answers over all packets. Pure."""
