"""Rule coverage: the rules that packets reached, matched and missed, by rule set, and the tests that sent them.

Pure data: recording.py makes it from traces. It is stored as JSON, and merged over processes and runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.rules import files

FORMAT = 3
_REMEDY = "Give the file that `pytest --rule-coverage=FILE` wrote."


@dataclass(frozen=True, slots=True)
class ClauseRecord:
    """A clause of a rule: `alone` packets would have matched without it; for `unknown` packets this is unknown.

    `alone_by` names the tests that sent the `alone` packets, sorted.
    """

    text: str
    alone: int = 0
    unknown: int = 0
    alone_by: tuple[str, ...] = ()

    def __add__(self, other: ClauseRecord) -> ClauseRecord:
        return replace(
            self,
            alone=self.alone + other.alone,
            unknown=self.unknown + other.unknown,
            alone_by=_united(self.alone_by, other.alone_by),
        )


@dataclass(frozen=True, slots=True)
class RuleRecord:
    """A rule of a chain, or a chain's policy (`number` 0), and the packets that were compared with it.

    `text` is the text in the rule set, `words` the kernel's text, both `-A CHAIN ...` or `:CHAIN POLICY`. `number` is
    its position in the chain, from 1. `line` is its line in the rule set's text, 0 if unknown. `reached` and `matched`
    count packets. `reached_by` and `matched_by` name the tests that sent them, sorted. A policy decides about every
    packet that reaches it.
    """

    table: str
    chain: str
    number: int
    text: str
    words: str
    line: int
    clauses: tuple[ClauseRecord, ...] = ()
    reached: int = 0
    matched: int = 0
    reached_by: tuple[str, ...] = ()
    matched_by: tuple[str, ...] = ()

    @property
    def is_policy(self) -> bool:
        return self.number == 0

    @property
    def missed(self) -> int:
        """The number of packets that reached it and did not match."""
        return self.reached - self.matched

    @property
    def key(self) -> tuple[str, str, str]:
        """The identity of the same rule in different rule sets."""
        return self.table, self.chain, self.text

    def __add__(self, other: RuleRecord) -> RuleRecord:
        """Return the same rule with the packets of both."""
        more = {clause.text: clause for clause in other.clauses}
        return replace(
            self,
            clauses=tuple(own + more.get(own.text, ClauseRecord(own.text)) for own in self.clauses),
            reached=self.reached + other.reached,
            matched=self.matched + other.matched,
            reached_by=_united(self.reached_by, other.reached_by),
            matched_by=_united(self.matched_by, other.matched_by),
        )


@dataclass(frozen=True, slots=True)
class ChainRecord:
    """A chain: `policy` is empty for a user-defined one, `entered` counts packets, `line` is as in RuleRecord."""

    table: str
    name: str
    policy: str
    line: int = 0
    entered: int = 0

    def __add__(self, other: ChainRecord) -> ChainRecord:
        return replace(self, entered=self.entered + other.entered)


@dataclass(frozen=True, slots=True)
class RuleSetRecord:
    """A loaded rule set: its source, its listing, its chains and rules, including policies.

    `engine` is the engine that wrote it, empty for another origin. Rules are in the order of the chains and, in a
    chain, of their numbers; the policy is the last.
    """

    source: str
    listing: tuple[str, ...]
    chains: tuple[ChainRecord, ...]
    rules: tuple[RuleRecord, ...]
    engine: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """The identity of the rule set, wherever and however often it was loaded."""
        return self.source, self.listing, tuple(rule.words for rule in self.rules)

    def __add__(self, other: RuleSetRecord) -> RuleSetRecord:
        return replace(
            self,
            chains=tuple(one + more for one, more in zip(self.chains, other.chains, strict=True)),
            rules=tuple(one + more for one, more in zip(self.rules, other.rules, strict=True)),
        )


@dataclass(frozen=True, slots=True)
class Coverage:
    """The records by rule set; `troubles` say, in sentences, why the coverage is incomplete."""

    rule_sets: tuple[RuleSetRecord, ...] = ()
    troubles: tuple[str, ...] = field(default=())

    def __add__(self, other: Coverage) -> Coverage:
        """Return both merged; a rule set in both appears once."""
        merged: dict[tuple[object, ...], RuleSetRecord] = {}
        for one in (*self.rule_sets, *other.rule_sets):
            merged[one.key] = merged[one.key] + one if one.key in merged else one
        return Coverage(tuple(merged.values()), (*self.troubles, *other.troubles))

    def tests_reaching(self, table: str, chain: str, rule_text: str) -> tuple[str, ...]:
        """Return the tests with a packet that reached a rule, in any rule set; `rule_text` is as written or as listed.

        For a policy (`:FORWARD DROP`), these are the tests with a packet that it decided.
        """
        found = self._found(table, chain, rule_text)
        return _united(*(rule.reached_by for rule in found))

    def tests_matching(self, table: str, chain: str, rule_text: str) -> tuple[str, ...]:
        """Return the tests with a packet that matched a rule, in any rule set."""
        return _united(*(rule.matched_by for rule in self._found(table, chain, rule_text)))

    def _found(self, table: str, chain: str, text: str) -> Iterator[RuleRecord]:
        for rule_set in self.rule_sets:
            for rule in rule_set.rules:
                if (rule.table, rule.chain) == (table, chain) and text in (rule.text, rule.words):
                    yield rule

    @property
    def tests(self) -> tuple[str, ...]:
        """Every test with a packet that reached a rule."""
        return _united(*(rule.reached_by for one in self.rule_sets for rule in one.rules))


def text(coverage: Coverage) -> str:
    """Return the coverage as JSON, which names tests once and then refers to them by number."""
    tests = coverage.tests
    number = {test: place for place, test in enumerate(tests)}
    value = {
        "format": FORMAT,
        "tests": tests,
        "troubles": coverage.troubles,
        "rule_sets": [_rule_set_as_dict(one, number) for one in coverage.rule_sets],
    }
    return json.dumps(value, separators=(",", ":"))


def parse(written: str, source: str = "the rule coverage") -> Coverage:
    """Return the coverage of a JSON text; raises TestbedError for another text."""
    try:
        value = json.loads(written)
        if value["format"] != FORMAT:
            raise TestbedError(f"{source} is of format {value['format']}, and this reads {FORMAT}.", _REMEDY)
        tests = value["tests"]
        return Coverage(tuple(_rule_set(one, tests) for one in value["rule_sets"]), tuple(value["troubles"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise TestbedError(f"{source} is no rule coverage.", _REMEDY) from error


def read(path: Path | str) -> Coverage:
    """Return the coverage in a file; raises TestbedError when it cannot be read."""
    return parse(files.text_of(path, _REMEDY), str(path))


def write(coverage: Coverage, path: Path | str) -> None:
    """Write the coverage into a file; raises TestbedError when it cannot be written."""
    files.write(path, text(coverage), "Say where with another name.")


def _united(*tests: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set().union(*tests)))


def _rule_set_as_dict(one: RuleSetRecord, number: dict[str, int]) -> dict[str, Any]:
    return {
        "source": one.source,
        "engine": one.engine,
        "listing": one.listing,
        "chains": [[chain.table, chain.name, chain.policy, chain.line, chain.entered] for chain in one.chains],
        "rules": [
            {
                "table": rule.table,
                "chain": rule.chain,
                "number": rule.number,
                "text": rule.text,
                "words": rule.words,
                "line": rule.line,
                "clauses": [
                    [clause.text, clause.alone, clause.unknown, [number[test] for test in clause.alone_by]]
                    for clause in rule.clauses
                ],
                "reached": rule.reached,
                "matched": rule.matched,
                "reached_by": [number[test] for test in rule.reached_by],
                "matched_by": [number[test] for test in rule.matched_by],
            }
            for rule in one.rules
        ],
    }


def _rule_set(value: dict[str, Any], tests: list[str]) -> RuleSetRecord:
    def named(places: list[int]) -> tuple[str, ...]:
        return tuple(tests[place] for place in places)

    def rule(of: dict[str, Any]) -> RuleRecord:
        by = {name: named(of[name]) for name in ("reached_by", "matched_by")}
        clauses = tuple(
            ClauseRecord(text, alone, unknown, named(alone_by)) for text, alone, unknown, alone_by in of["clauses"]
        )
        return RuleRecord(**{**of, **by, "clauses": clauses})

    chains = tuple(ChainRecord(*chain) for chain in value["chains"])
    return RuleSetRecord(
        value["source"], tuple(value["listing"]), chains, tuple(map(rule, value["rules"])), value["engine"]
    )
