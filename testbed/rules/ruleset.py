"""A rule set: tables of chains and rules, in the order and the syntax of `iptables-save`.

Text that the testbed does not interpret (matches, target options, comments) stays unchanged.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import ClassVar, Protocol

from testbed.errors import RulesError
from testbed.rules import forbidden
from testbed.rules.counters import Counters
from testbed.rules.origin import UNKNOWN, RulesetOrigin
from testbed.rules.syntax import IPTABLES, Syntax

BUILT_IN_CHAINS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
IPV6 = "ip6 "  # prefix of the names of IPv6 tables, as in nftables: `ip6 filter`


@dataclass(frozen=True, slots=True)
class Comment:
    """A line without a meaning for the kernel: a comment or an empty line."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain's declaration; `policy` is None for a user-defined chain, `counters` are the policy's."""

    name: str
    policy: str | None = None
    counters: Counters | None = None
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        counters = f" {self.counters}" if self.counters is not None else ""
        return f":{self.name} {self.policy or '-'}{counters}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of `chain`; `spec` is the original text after `-A CHAIN `."""

    chain: str
    spec: str
    counters: Counters | None = None
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        counters = f"{self.counters} " if self.counters is not None else ""
        return f"{counters}{self.text}"

    @property
    def text(self) -> str:
        """The rule without its counters: `-A CHAIN ...`."""
        return f"-A {self.chain} {self.spec}".rstrip()

    @property
    def target(self) -> str | None:
        """The target of the rule (a verdict, an extension, a chain), or None if it only counts."""
        words = shlex.split(self.spec)
        for option, value in pairwise(words):
            if option in ("-j", "--jump", "-g", "--goto"):
                return value
        return None


@dataclass(frozen=True, slots=True)
class Table:
    """One table; `entries` keeps chains, rules and comments in the order of the file.

    `filter` is IPv4's table of that name, `ip6 filter` IPv6's. `source` is its file if a rule set was combined from
    several.
    """

    name: str
    entries: tuple[Chain | Rule | Comment, ...]
    source: str = field(default="", compare=False)

    @property
    def of_ipv6(self) -> bool:
        return self.name.startswith(IPV6)

    @property
    def touched(self) -> bool:
        """Whether it has a rule, a user-defined chain, or a policy other than ACCEPT."""
        return bool(self.rules) or any(chain.policy != "ACCEPT" for chain in self.chains)

    @property
    def chains(self) -> tuple[Chain, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, Chain))

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, Rule))

    def rules_of(self, chain: str) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.chain == chain)


class AnyRuleset(Protocol):
    """A rule set in one of the syntaxes.

    Two rule sets are equal if they have the same rules; `source`, its name for messages, and `origin` do not count.
    `sets` are the ipsets that its rules match, as `ipset save` prints them; empty in nftables' syntax.
    """

    def __hash__(self) -> int: ...

    @property
    def source(self) -> str: ...

    @property
    def origin(self) -> RulesetOrigin: ...

    @property
    def syntax(self) -> Syntax: ...

    @property
    def sets(self) -> str: ...

    @property
    def text(self) -> str:
        """The rule set as the text of a file, in iptables' syntax with its sets."""

    @property
    def listing(self) -> list[str]:
        """The rule set as lines, in iptables' syntax without counters."""

    @property
    def number_of_rules(self) -> int:
        """The number of rules; in nftables' syntax of those with a counter."""

    @property
    def as_iptables(self) -> Ruleset | None:
        """The rule set with tables, chains and rules as values; None in nftables' syntax, whose text nft parses."""

    def named(self, source: str) -> AnyRuleset:
        """Return the same rules with another name for messages."""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A rule set in iptables' syntax: all tables, of IPv4 and of IPv6.

    `sets` are the ipsets that its rules match, as `ipset save` prints them; iptables-save text does not have them.
    """

    syntax: ClassVar[Syntax] = IPTABLES

    entries: tuple[Table | Comment, ...]
    source: str = field(default="the rule set", compare=False)
    sets: str = ""
    origin: RulesetOrigin = field(default=UNKNOWN, compare=False)

    @property
    def as_iptables(self) -> Ruleset:
        return self

    @property
    def text(self) -> str:
        from testbed.rules import save  # which reads rule sets too

        return save.render(self) + self.sets

    @property
    def number_of_rules(self) -> int:
        return sum(len(table.rules) for table in self.tables)

    def named(self, source: str) -> Ruleset:
        """Return the same rules with another name for messages."""
        return replace(self, source=source)

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, Table))

    def table(self, name: str) -> Table:
        """Return the table of that name; raises RulesError when there is none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise RulesError(f"{self.source} has no table {name}.")

    @property
    def rules(self) -> Iterator[tuple[Table, Rule]]:
        """Every rule with its table, in the order of the file."""
        return ((table, rule) for table in self.tables for rule in table.rules)

    @property
    def listing(self) -> list[str]:
        """Every policy, chain and rule as a line that begins with its table, without counters; tables by name."""
        return [
            f"{table.name} {line}"
            for table in sorted(self.tables, key=lambda table: table.name)
            for line in [
                *(f":{chain.name} {chain.policy or '-'}" for chain in table.chains),
                *(rule.text for rule in table.rules),
            ]
        ]

    @property
    def touched(self) -> Ruleset:
        """The rule set without untouched tables, which accept every packet as if they did not exist."""
        return replace(self, entries=tuple(e for e in self.entries if not isinstance(e, Table) or e.touched))

    def beside(self, other: Ruleset) -> Ruleset:
        """Return this rule set with the tables and sets of another, which has other tables."""
        return replace(self, entries=(*self.entries, *other.entries), sets=self.sets + other.sets)

    def insert(self, table: str, chain: str, spec: str) -> Ruleset:
        """Return this rule set with one more rule at the head of a chain, as `iptables -I` does it.

        A missing table is added with the built-in chain. Raises RulesError when a user-defined chain is missing.
        """
        if wrong := forbidden.in_rule(spec):
            raise RulesError(f"-A {chain} {spec} is refused: {wrong}.", "Leave that option out, and write addresses.")
        rule = Rule(chain, spec)
        if table not in [known.name for known in self.tables]:
            if chain not in BUILT_IN_CHAINS:
                raise RulesError(f"{self.source} has no table {table} with a chain {chain}.")
            return replace(self, entries=(*self.entries, Table(table, (Chain(chain, "ACCEPT"), rule))))

        def at_the_head(old: Table) -> Table:
            entries = list(old.entries)
            if chain not in [known.name for known in old.chains]:
                if chain not in BUILT_IN_CHAINS:
                    raise RulesError(f"{self.source} has no chain {chain} in table {table}.")
                entries.insert(0, Chain(chain, "ACCEPT"))
            positions = [n for n, entry in enumerate(entries) if isinstance(entry, Rule) and entry.chain == chain]
            last_chain = max(n for n, entry in enumerate(entries) if isinstance(entry, Chain))
            entries.insert(positions[0] if positions else last_chain + 1, rule)
            return replace(old, entries=tuple(entries))

        return self._with_table(table, at_the_head)

    def delete(self, table: str, text: str) -> Ruleset:
        """Return this rule set without the rule of that text (`-A CHAIN ...`), as `iptables -D` does it.

        Raises RulesError when there is no such rule.
        """

        def without(old: Table) -> Table:
            entries = list(old.entries)
            found = [n for n, entry in enumerate(entries) if isinstance(entry, Rule) and entry.text == text]
            if not found:
                raise RulesError(f"{self.source} has no rule {text} in table {table}.")
            del entries[found[0]]
            return replace(old, entries=tuple(entries))

        return self._with_table(table, without)

    def _with_table(self, name: str, change: Callable[[Table], Table]) -> Ruleset:
        changed = change(self.table(name))
        entries = (changed if isinstance(e, Table) and e.name == name else e for e in self.entries)
        return replace(self, entries=tuple(entries))
