"""Edit a rule's text at one place; the rest stays as it was written."""

from __future__ import annotations

import re

from testbed.rules.clauses import Clause, Target, clauses

_QUOTED_OR_MATCH = re.compile(r'"(?:\\.|[^"\\])*"|(?<!\S)(?:-m|--match) (?P<name>[^\s"]+)')

_VERB = re.compile(r"(?:-j|-g|--jump|--goto) +$")


def with_clause(spec: str, clause: Clause, text: str) -> str:
    """Return the rule with another text in place of a clause."""
    return spec[: clause.start] + text + spec[clause.end :]


def with_values(spec: str, clause: Clause, *values: str) -> str:
    """Return the rule with other values in a clause."""
    words = clause.text.split(" ")
    return with_clause(spec, clause, " ".join([*words[: len(words) - len(clause.values)], *values]))


def with_target(spec: str, target: Target, text: str) -> str:
    """Return the rule with another target."""
    return spec[: target.start] + text + spec[target.end :]


def without_target(spec: str, target: Target) -> str:
    """Return the rule without its target, so that it only counts."""
    return _tidy(_VERB.sub("", spec[: target.start]) + spec[target.end :])


def with_verb(spec: str, target: Target, verb: str) -> str:
    """Return the rule with -g for -j, or vice versa."""
    return _VERB.sub(f"{verb} ", spec[: target.start]) + spec[target.start :]


def opposite(spec: str, clause: Clause) -> str:
    """Return the rule with a clause's negation inverted."""
    if not clause.negated:
        return with_clause(spec, clause, f"! {clause.text}")
    words = clause.text.split(" ")
    words.remove("!")
    return with_clause(spec, clause, " ".join(words))


def without(spec: str, *dropped: Clause) -> str:
    """Return the rule without some clauses; a match without other clauses goes with them."""
    gone = {(clause.start, clause.end) for clause in dropped}
    kept = [clause for clause in clauses(spec) if (clause.start, clause.end) not in gone]
    for clause in dropped:
        named = _named(spec, clause)
        if named is not None and all(_named(spec, other) != named for other in kept):
            gone.add(named)
    for start, end in sorted(gone, reverse=True):
        spec = spec[:start] + spec[end:]
    return _tidy(spec)


def _named(spec: str, clause: Clause) -> tuple[int, int] | None:
    """Return the position of the `-m` option that a clause belongs to."""
    named = [
        found.span()
        for found in _QUOTED_OR_MATCH.finditer(spec)
        if clause.option and found["name"] == clause.module and found.end() <= clause.start
    ]
    return named[-1] if named else None


def _tidy(spec: str) -> str:
    """Remove the spaces that a gap leaves; quoted text stays."""
    return re.sub(r'("(?:\\.|[^"\\])*")| +', lambda found: found[1] or " ", spec).strip()


def renamed(spec: str, protocol: Clause, other: str) -> str:
    """Return the rule with another protocol, in `-p` and in the match of the same name."""
    old = protocol.values[0]
    named = [found.span("name") for found in _QUOTED_OR_MATCH.finditer(spec) if found["name"] == old]
    for start, end in sorted([*named, (protocol.end - len(old), protocol.end)], reverse=True):
        spec = spec[:start] + other + spec[end:]
    return spec


def crossed(spec: str, *interfaces: Clause | None) -> str:
    """Return the rule with -i for -o and -o for -i."""
    for clause in sorted(filter(None, interfaces), key=lambda clause: clause.start, reverse=True):
        other = {"-i": "-o", "-o": "-i"}[clause.option]
        written = "".join(("! " if clause.negated else "", other, " ", *clause.values))
        spec = with_clause(spec, clause, written)
    return spec
