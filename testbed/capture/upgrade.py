"""The rules of a captured host after another engine has started on it: its own rules, with Docker's exchanged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from testbed.capture.twin import Twin
from testbed.docker.engines import chosen_for
from testbed.errors import TestbedError
from testbed.rules import AnyRuleset
from testbed.rules.ruleset import BUILT_IN_CHAINS, Chain, Rule, Ruleset, Table

_USER = "DOCKER-USER"
_OWN_CHAIN = re.compile(r"DOCKER(-[A-Z0-9-]+)?$")


def with_engine(made: Twin, version: str) -> AnyRuleset:
    """Return a twin's rules as they are once this version of Docker has started on the host.

    Docker's chains, and its lines in others, are those that this version writes, at the place of the first old one; all
    other lines stay in their order. Raises TestbedError for a version that
    is not known, and for one that writes nftables' rules beside captured ones of iptables.
    """
    written = chosen_for(made.host, version).rules(made.host)
    if made.rules is None:
        return written
    old, new = made.rules.as_iptables, written.as_iptables
    if old is None or new is None:
        kinds = ["nftables'" if one is None else "iptables'" for one in (old, new)]
        raise TestbedError(
            f"the capture's rules are {kinds[0]}, and those of engine {version} are {kinds[1]}.",
            "Compare engines that write iptables' rules, such as --engine 29.",
        )
    before = _written_before(made)
    names = dict.fromkeys([*(table.name for table in old.tables), *(table.name for table in new.tables)])
    tables = tuple(_table(name, old, before, new) for name in names)
    source = f"{old.source} with {written.source}"
    return Ruleset(tuple(replace(table, source="") for table in tables), source, old.sets + new.sets)


def _written_before(made: Twin) -> Ruleset:
    """Return what the captured engine writes, so that its lines can be told from others; empty where it is unknown."""
    try:
        written = chosen_for(made.host, made.engine).rules(made.host)
    except TestbedError:
        return Ruleset(())
    return written.as_iptables or Ruleset(())


def _table(name: str, old: Ruleset, before: Ruleset, written: Ruleset) -> Table:
    mine, was, new = (_tables(one).get(name, Table(name, ())) for one in (old, before, written))
    chains = {chain.name: chain for chain in new.chains}
    kept = [chain for chain in mine.chains if chain.name == _USER or not _OWN_CHAIN.match(chain.name)]
    ordered = {**{chain.name: chain for chain in kept}, **{n: c for n, c in chains.items() if n not in _names(kept)}}
    ordered |= {own: chain for own, chain in chains.items() if chain.policy not in (None, "ACCEPT")}
    rules = [rule for chain in ordered for rule in _rules(chain, mine, was, new)]
    return Table(name, (*(replace(chain, counters=None) for chain in ordered.values()), *rules))


def _tables(ruleset: Ruleset) -> dict[str, Table]:
    return {table.name: table for table in ruleset.tables}


def _names(chains: list[Chain]) -> set[str]:
    return {chain.name for chain in chains}


def _rules(chain: str, mine: Table, was: Table, new: Table) -> Iterator[Rule]:
    """Yield the rules of a chain: Docker's new ones at the place where its old ones were, among all others."""
    own = [replace(rule, counters=None) for rule in mine.rules_of(chain)]
    written = list(new.rules_of(chain))
    if chain == _USER:
        others = [rule for rule in own if rule.spec != "-j RETURN"]
        yield from (*others, *(rule for rule in written if not others or rule.spec == "-j RETURN"))
        return
    if chain not in BUILT_IN_CHAINS:
        yield from written or own
        return
    known = Counter(rule.spec for rule in was.rules_of(chain))
    dockers = [_is_docker(rule, known) for rule in own]
    first = dockers.index(True) if True in dockers else 0
    yield from (rule for rule in own[:first])
    yield from written
    yield from (rule for rule, is_docker in zip(own[first:], dockers[first:], strict=True) if not is_docker)


def _is_docker(rule: Rule, known: Counter[str]) -> bool:
    """Return whether a rule of a built-in chain is Docker's: it leads to a chain of it, or the engine writes it."""
    if known[rule.spec] > 0:
        known[rule.spec] -= 1
        return True
    return bool(_OWN_CHAIN.match(rule.target or ""))
