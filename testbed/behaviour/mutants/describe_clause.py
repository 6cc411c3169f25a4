"""Describe a clause for people: the aspect of a packet that it limits, and changes of it."""

from __future__ import annotations

from testbed.rules.clauses import Clause

_ASPECTS = {  # by option: all values of the aspect, and one of them
    "-i": ("from every interface", "from {}"),
    "-o": ("towards every interface", "towards {}"),
    "-s": ("from every source", "from {}"),
    "-d": ("to every destination", "to {}"),
    "-p": ("over every protocol", "over {}"),
    **dict.fromkeys(("--dport", "--dports", "--ports"), ("on every port", "on port {}")),
    **dict.fromkeys(("--sport", "--sports"), ("from every port", "from port {}")),
    **dict.fromkeys(("--ctstate", "--state"), ("in every state of its connection", "in state {}")),
    "--ctstatus": ("whatever became of its connection", "with status {}"),
    "--dst-type": ("to every kind of address", "to {} addresses"),
    "--src-type": ("from every kind of address", "from {} addresses"),
    "--src-range": ("from every source", "from {}"),
    "--dst-range": ("to every destination", "to {}"),
    "--match-set": ("for any address", "in set {}"),
    "--mark": ("with every mark", "with mark {}"),
    **dict.fromkeys(("--icmp-type", "--icmpv6-type"), ("with every ICMP type", "with ICMP type {}")),
    "--tcp-flags": ("with every combination of TCP flags", "with TCP flags {}"),
    "--syn": ("with every combination of TCP flags", "with TCP flags {}"),
    "--limit": ("at every rate", "at a rate of {}"),
    "--limit-burst": ("in every burst", "in a burst of {}"),
    "--ttl-eq": ("with every TTL", "with TTL {}"),
    "--hl-eq": ("with every hop limit", "with hop limit {}"),
    "-f": ("whether it is a fragment or not", "as a later fragment"),
}


def limits(clause: Clause) -> bool:
    """Return whether the aspect that a clause limits is known."""
    return clause.option in _ASPECTS


def one(clause: Clause, *values: str) -> str:
    """Describe the aspect with the clause's values, or with others: `from docker0`."""
    return _ASPECTS[clause.option][1].format(" ".join(values or clause.values or ("SYN",)))


def dropped(clause: Clause) -> str:
    """Describe a removed clause: `from every interface, not only from docker0`; `from docker0 too`."""
    if not limits(clause):
        return f"without asking for `{clause.text}`"
    return f"{one(clause)} too" if clause.negated else f"{_every(clause)}, not only {one(clause)}"


def negated(clause: Clause) -> str:
    """Describe a negated clause: `from every interface except from docker0`; `from docker0 only`."""
    if not limits(clause):
        return f"with `{clause.text}` the other way round"
    return f"{one(clause)} only" if clause.negated else f"{_every(clause)} except {one(clause)}"


def other(clause: Clause, *values: str) -> str:
    """Describe other values: `from ens33 instead of from docker0`."""
    if not limits(clause):
        return f"with `{' '.join((clause.option, *values))}` instead of `{clause.text}`"
    exception = f"{_every(clause)} except " if clause.negated else ""
    return f"{exception}{one(clause, *values)} instead of {one(clause)}"


def _every(clause: Clause) -> str:
    return _ASPECTS[clause.option][0]
