"""Rule coverage: the rules that packets reached, matched and missed, recorded from traces, merged, and reported."""
