"""Mutation testing of a rule set: load each mutant in place of the rules, and run the cases against it."""
