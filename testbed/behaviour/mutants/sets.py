"""Edits of the ipsets that rules match: an element removed, an element added."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from testbed.behaviour.mutants.edits import OfSet
from testbed.behaviour.mutants.site import Site

Made = tuple[str, OfSet]  # operator, edit


def made_strong(site: Site) -> Iterator[Made]:
    """Yield, for each set first matched by this rule: its first element removed, the one after its last added."""
    for name in _first_matched(site):
        elements = [line for line in site.rules.sets.splitlines() if line.split()[:2] == ["add", name]]
        if not elements:
            continue
        yield "set", OfSet(elements[0], "")
        more = _beside(elements[-1], set(map(_element, elements)))
        if more:
            yield "set", OfSet("", f"add {name} {more}")


def _first_matched(site: Site) -> list[str]:
    own = [clause.values[0] for clause in site.clauses if clause.option == "--match-set" and clause.values]
    for table, rule in site.rules.rules:
        if table.name == site.place.table and rule == site.rule:
            break
        own = [name for name in own if f"--match-set {name} " not in rule.spec]
    return own


def _element(line: str) -> str:
    return line.split()[2]


def _beside(line: str, known: set[str]) -> str:
    """Return the address or network after an element; '' for other kinds of elements, or if it is in the set too."""
    try:
        network = ip_network(_element(line))
        address = network.network_address + network.num_addresses
    except ValueError:
        return ""
    more = f"{address}/{network.prefixlen}" if "/" in _element(line) else str(address)
    return "" if more in known else more
