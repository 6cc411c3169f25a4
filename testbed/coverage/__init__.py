"""Rule coverage: which rules packets reached, matched and missed, recorded from traces, merged, and reported on."""
