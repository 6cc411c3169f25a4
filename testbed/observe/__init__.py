"""Observations of the kernel: counters over a period, journeys of packets, packets matched at both ends."""
