"""A rule set under construction: rules appended and inserted chain by chain, as an engine does it."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.rules.origin import RulesetOrigin
from testbed.rules.ruleset import Chain, Rule, Ruleset, Table

_BUILT_IN = {
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}


class Tables:
    """Tables in which an engine puts its rules; they come out in the order of `iptables-save`.

    `policies` are those of the filter table's chains that are not ACCEPT. `prefix` is what the tables' names begin
    with: `ip6 ` for IPv6's.
    """

    def __init__(self, policies: dict[str, str], prefix: str = "") -> None:
        self._policies = policies
        self._prefix = prefix
        self._rules: dict[str, dict[str, list[str]]] = {}
        self._there: set[tuple[str, str, str]] = set()  # what the lists hold, by table and chain

    def chains(self, table: str, names: Sequence[str]) -> None:
        """Make user-defined chains, and the table where it is not there."""
        self._rules.setdefault(table, {name: [] for name in _BUILT_IN[table]})
        for name in names:
            self._chain(table, name)

    def append(self, table: str, chain: str, spec: str) -> None:
        """`iptables -A`."""
        self._chain(table, chain).append(spec)
        self._there.add((table, chain, spec))

    def insert(self, table: str, chain: str, *specs: str) -> None:
        """`iptables -I` of several rules, the last one first, so that they stand at the head in this order."""
        self._chain(table, chain)[:0] = specs
        self._there.update((table, chain, spec) for spec in specs)

    def append_once(self, table: str, chain: str, spec: str) -> None:
        """`iptables -A`, unless the rule is there (`iptables -C`)."""
        if (table, chain, spec) not in self._there:
            self.append(table, chain, spec)

    def insert_once(self, table: str, chain: str, spec: str) -> None:
        """`iptables -I`, unless the rule is there (`iptables -C`)."""
        if (table, chain, spec) not in self._there:
            self.insert(table, chain, spec)

    def ruleset(self, engine: str, sets: str = "") -> Ruleset:
        """What the engine has made: tables that hold anything, user-defined chains by name; `sets` as in Ruleset."""
        tables = tuple(self._table(name) for name in _BUILT_IN if name in self._rules)
        return Ruleset(tables, f"the rules of engine {engine}", sets, RulesetOrigin.of_engine(engine))

    def _chain(self, table: str, chain: str) -> list[str]:
        return self._rules.setdefault(table, {name: [] for name in _BUILT_IN[table]}).setdefault(chain, [])

    def _table(self, name: str) -> Table:
        chains = self._rules[name]
        built_in = _BUILT_IN[name]
        own = sorted(set(chains) - set(built_in))
        policies = self._policies if name == "filter" else {}
        return Table(
            self._prefix + name,
            (
                *(Chain(chain, policies.get(chain, "ACCEPT")) for chain in built_in),
                *(Chain(chain) for chain in own),
                *(Rule(chain, spec) for chain in (*built_in, *own) for spec in chains[chain]),
            ),
        )


def untouched(engine: str) -> Ruleset:
    """What there is where an engine writes nothing: chains of the kernel's that let everything pass."""
    tables = Tables({})
    tables.chains("filter", [])
    return tables.ruleset(engine)
