"""The lines in which two rule sets differ: rules, policies, sets. Counters, comments and spelling do not count."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from testbed.rules.clauses import Clause, clauses, target_of
from testbed.rules.places import statements
from testbed.rules.ruleset import AnyRuleset, Ruleset, Table
from testbed.rules.syntax import IPTABLES, NFTABLES, Syntax
from testbed.rules.unreachable import LimitedRule, Limits

_COUNTED = re.compile(r'\s*\bcounter(?: packets \d+ bytes \d+)?(?=\s|$)|\s*\bcomment "[^"]*"|\s*#[^"]*$')
_EXPIRES = re.compile(r" expires \w+")
_USED = re.compile(r"--match-set (\S+)")


@dataclass(frozen=True, slots=True)
class ListedLine:
    """A line of a rule set: a rule with its `number` in its chain, from 1, or a policy or a set's line (number None).

    `text` is the line without counters and comments. `spec` is a rule's specification, empty for other lines. `line` is
    the line number in `file` (empty: the rule set's file), 0 if unknown. `leads`: the rule's target is a chain.
    `syntax` is the rule set's.
    """

    table: str
    chain: str
    number: int | None
    text: str
    line: int
    spec: str = ""
    leads: bool = False
    syntax: Syntax = IPTABLES
    file: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[object, ...]:
        """Return a key that is equal for lines of the same meaning."""
        if self.syntax is NFTABLES or self.number is None:
            return (self.text,)
        asked = tuple(map(_meaning, clauses(self.spec)))
        target = target_of(self.spec)
        return (asked, (target.verb, target.text) if target is not None else None)


def listed(ruleset: AnyRuleset) -> list[ListedLine]:
    """Return every relevant line; of iptables' chains only those that a packet can enter."""
    if (iptables := ruleset.as_iptables) is None:
        return [*_native(ruleset.text)]
    found = [line for table in iptables.tables for line in _of_table(table)]
    return [*found, *_sets(iptables)]


def changed(old: AnyRuleset, new: AnyRuleset) -> tuple[list[ListedLine], list[ListedLine]]:
    """Return the lines that only the old rule set has at their place, and those that only the new one has."""
    before, now = _by_block(listed(old)), _by_block(listed(new))
    gone: list[ListedLine] = []
    added: list[ListedLine] = []
    for block in dict.fromkeys((*before, *now)):
        one, other = before.get(block, []), now.get(block, [])
        matcher = SequenceMatcher(None, [line.key for line in one], [line.key for line in other], autojunk=False)
        for what, a, b, c, d in matcher.get_opcodes():
            if what != "equal":
                gone += one[a:b]
                added += other[c:d]
    return _reached(old, gone), _reached(new, added)


def fingerprint(ruleset: AnyRuleset) -> str:
    """Return a hash that is equal for two rule sets without a relevant difference."""
    blocks = _by_block(listed(ruleset))
    lines = (f"{block} {line.key}" for block in sorted(blocks) for line in blocks[block])
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _meaning(clause: Clause) -> tuple[object, ...]:
    return clause.module, clause.option, clause.negated, tuple(value.removesuffix("/32") for value in clause.values)


def _by_block(lines: Iterable[ListedLine]) -> dict[tuple[str, str], list[ListedLine]]:
    """Return the lines of each chain, and of each other block, in order."""
    found: dict[tuple[str, str], list[ListedLine]] = {}
    for line in lines:
        found.setdefault((line.table, line.chain), []).append(line)
    return found


def _of_table(table: Table) -> Iterator[ListedLine]:
    """Yield the policies that do not accept, and the rules of base chains and of chains reached by jumps and gotos."""
    rules = {chain.name: table.rules_of(chain.name) for chain in table.chains}
    left = [chain.name for chain in table.chains if chain.policy is not None]
    entered: dict[str, None] = {}
    while left:
        name = left.pop()
        if name not in entered and name in rules:
            entered[name] = None
            left += [rule.target for rule in rules[name] if rule.target is not None]
    for chain in table.chains:
        if chain.name not in entered:
            continue
        if chain.policy not in (None, "ACCEPT"):
            said = f":{chain.name} {chain.policy}"
            yield ListedLine(table.name, chain.name, None, said, chain.line, file=table.source)
        for number, rule in enumerate(rules[chain.name], start=1):
            leads, place = rule.target in rules, (table.name, chain.name, number)
            yield ListedLine(*place, rule.text, rule.line, rule.spec, leads, file=table.source)


def _sets(ruleset: Ruleset) -> Iterator[ListedLine]:
    """Yield the lines of the ipsets that rules match, sorted."""
    used = {name for _, rule in ruleset.rules for name in _USED.findall(rule.spec)}
    for text in sorted(ruleset.sets.splitlines()):
        words = text.split()
        if len(words) > 1 and words[1] in used:
            yield ListedLine("ipset", words[1], None, text, 0)


def _native(text: str) -> Iterator[ListedLine]:
    """Yield rules by their chains, and every other line by its enclosing block."""
    rules = {number: (table, chain) for number, table, chain, of_rule in statements(text) if of_rule}
    numbers: dict[tuple[str, str], int] = {}
    inside: list[str] = []
    for line, written in enumerate(text.splitlines(), start=1):
        said = _EXPIRES.sub("", _COUNTED.sub("", written)).strip()
        if line in rules:
            table, chain = rules[line]
            numbers[table, chain] = number = numbers.get((table, chain), 0) + 1
            yield ListedLine(table, chain, number, f"-A {chain} {said}", line, said, syntax=NFTABLES)
        elif said.strip("};"):
            yield ListedLine(" / ".join(inside), "", None, said, line, syntax=NFTABLES)
        depth = said.count("{") - said.count("}")
        inside = [*inside, *[said] * depth] if depth > 0 else inside[: len(inside) + depth]


def _reached(ruleset: AnyRuleset, lines: list[ListedLine]) -> list[ListedLine]:
    """Return the lines without unreachable rules: an earlier rule decides about every packet that could match them."""
    if not lines or (iptables := ruleset.as_iptables) is None:
        return lines
    rules = [LimitedRule(table.name, rule.chain, rule.spec) for table, rule in iptables.rules]
    chains = [(table.name, chain) for table in iptables.tables for chain in _chains(table)]
    bases = [(table.name, chain.name) for table in iptables.tables for chain in table.chains if chain.policy]
    limits = Limits(rules, chains, bases)
    return [line for line in lines if line.number is None or not limits.reached(line.table, line.chain, line.number)]


def _chains(table: Table) -> Iterable[str]:
    return dict.fromkeys((*(chain.name for chain in table.chains), *(rule.chain for rule in table.rules)))
