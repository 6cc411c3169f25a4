"""Which mistakes in a rule set the cases would notice: each mutant is loaded in place of the rules."""
