"""A reference to a rule or a policy as a value: table, chain, number, text, and its place in its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from testbed.rules.places import places
from testbed.rules.reading import CounterLine
from testbed.rules.ruleset import AnyRuleset

_POLICY = "policy "


class RuleKind(Enum):
    """What decided: a rule, the policy of a base chain, or the kernel's routing, which is in no rule set."""

    RULE = "rule"
    POLICY = "policy"
    ROUTING = "routing"


@dataclass(frozen=True, slots=True)
class RuleReference:
    """A rule, or without a number a chain's policy, or without a table the kernel's routing.

    `table` begins with a family where it is not IPv4's of iptables: `raw`, `ip6 raw`, `ip docker-bridges`. `number`
    counts a chain's rules from 1. `text` is the rule's, `policy DROP`, or the reason of the routing. `line` is that of
    the file `source`, 0 where it is not known.
    """

    table: str
    chain: str
    number: int | None
    text: str
    line: int = 0
    source: str = ""

    @classmethod
    def routing(cls, reason: str) -> RuleReference:
        """Return the reference of the kernel's routing, with its reason."""
        return cls("", "", None, reason)

    @classmethod
    def policy(cls, table: str, chain: str, verdict: str) -> RuleReference:
        """Return the reference of a base chain's policy."""
        return cls(table, chain, None, f"{_POLICY}{verdict}")

    @property
    def kind(self) -> RuleKind:
        if not self.table:
            return RuleKind.ROUTING
        return RuleKind.POLICY if self.number is None else RuleKind.RULE

    @property
    def family(self) -> str:
        first, _, rest = self.table.partition(" ")
        return first if rest else "ip"

    @property
    def saved(self) -> str:
        """The table and the line that iptables-save prints: `filter -A FORWARD ...`, `filter :FORWARD DROP`."""
        if self.kind is RuleKind.POLICY:
            return f"{self.table} :{self.chain} {self.text.removeprefix(_POLICY)}"
        return f"{self.table} {self.text}".strip()

    def __str__(self) -> str:
        if self.kind is RuleKind.ROUTING:
            return f"the kernel's routing: {self.text}"
        number = "policy" if self.number is None else f"rule {self.number}"
        return f"{self.table} {self.chain} {number}: {self.text}"


def of_line(line: CounterLine, texts: Sequence[str], ruleset: AnyRuleset) -> RuleReference:
    """Return the reference of a counted line.

    `texts` are the texts of all rules of its table, in order; `ruleset` is the rule set whose file has the rules.
    """
    if line.is_policy:
        chain, _, verdict = line.text.removeprefix(":").partition(" ")
        return located(RuleReference.policy(line.table, chain, verdict), ruleset)
    chain = line.text.split(" ", 2)[1]
    own = [text for text in texts if text.split(" ", 2)[1] == chain]
    equal = [number for number, text in enumerate(own, start=1) if text == line.text]
    number = equal[line.occurrence] if line.occurrence < len(equal) else 0
    return located(RuleReference(line.table, chain, number, line.text), ruleset)


def located(reference: RuleReference, ruleset: AnyRuleset) -> RuleReference:
    """Return a reference with its place in the file of a rule set."""
    chain = places(ruleset).get((reference.table, reference.chain))
    line = chain.line(reference.number) if chain is not None and reference.number != 0 else 0
    return replace(reference, source=ruleset.source, line=line) if reference.table else reference
