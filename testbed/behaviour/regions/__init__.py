"""Compare two rule sets over all packets: regions from the analysis, each confirmed by its witness on two beds."""
