"""What the kernel did, put into facts: counters over a while, packets matched at both ends."""
