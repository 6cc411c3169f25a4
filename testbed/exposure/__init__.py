"""Who reaches which service of a Docker host: a matrix over all packets, confirmed by packets on a bed."""
