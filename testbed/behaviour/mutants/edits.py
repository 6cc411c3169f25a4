"""Edits of a rule set at one place; any rule set with the same rule has that place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from testbed.rules.ruleset import Chain, Comment, Rule, Ruleset, Table

Entry = Chain | Rule | Comment
_Change = Callable[[list[Entry], int], bool]  # changes the entries around a place; False: it cannot


@dataclass(frozen=True, slots=True)
class Place:
    """A rule by its table, its text and its index among equal rules of its chain (0: the first)."""

    table: str
    rule: Rule
    nth: int = 0

    def within(self, table: Table) -> int | None:
        """Return its index among the entries of a table; None if it is missing."""
        found = [n for n, entry in enumerate(table.entries) if isinstance(entry, Rule) and entry.text == self.rule.text]
        return found[self.nth] if self.nth < len(found) else None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The rule is replaced by one or several lines, or by none: it is removed. `chain` is their chain."""

    chain: str
    specs: tuple[str, ...] = ()

    @property
    def done(self) -> str:
        return "written"

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(Rule(self.chain, spec).text for spec in self.specs)

    def of(self, rules: Ruleset, place: Place) -> Ruleset | None:
        def rewritten(entries: list[Entry], at: int) -> bool:
            entries[at : at + 1] = [Rule(self.chain, spec, line=place.rule.line) for spec in self.specs]
            return self.chain == place.rule.chain or _has_chain(entries, self.chain)

        return _edited(rules, place, rewritten)


@dataclass(frozen=True, slots=True)
class Behind:
    """The rule is moved behind a later rule of its chain; None if there is no such later rule."""

    other: Rule
    moved: Rule

    @property
    def done(self) -> str:
        return "behind"

    @property
    def lines(self) -> tuple[str, ...]:
        return self.other.text, self.moved.text

    def of(self, rules: Ruleset, place: Place) -> Ruleset | None:
        def behind(entries: list[Entry], at: int) -> bool:
            later = (n for n in _of_chain(entries, place.rule.chain) if n > at and _text(entries[n]) == self.other.text)
            other = next(later, None)
            if other is not None:
                entries.insert(other, entries.pop(at))
            return other is not None

        return _edited(rules, place, behind)


@dataclass(frozen=True, slots=True)
class Outermost:
    """The rule is moved to the start or the end of its chain; None if it is there already."""

    moved: Rule
    last: bool

    @property
    def done(self) -> str:
        return "last" if self.last else "first"

    @property
    def lines(self) -> tuple[str, ...]:
        return (self.moved.text,)

    def of(self, rules: Ruleset, place: Place) -> Ruleset | None:
        def outermost(entries: list[Entry], at: int) -> bool:
            end = _of_chain(entries, place.rule.chain)[-1 if self.last else 0]
            entries.insert(end, entries.pop(at))
            return end != at

        return _edited(rules, place, outermost)


@dataclass(frozen=True, slots=True)
class Preceded:
    """Another rule is inserted before the rule."""

    spec: str
    moved: Rule

    @property
    def done(self) -> str:
        return "preceded"

    @property
    def lines(self) -> tuple[str, ...]:
        return Rule(self.moved.chain, self.spec).text, self.moved.text

    def of(self, rules: Ruleset, place: Place) -> Ruleset | None:
        def preceded(entries: list[Entry], at: int) -> bool:
            entries.insert(at, Rule(place.rule.chain, self.spec))
            return True

        return _edited(rules, place, preceded)


@dataclass(frozen=True, slots=True)
class Policy:
    """A built-in chain has another policy."""

    chain: str
    old: str
    new: str

    @property
    def done(self) -> str:
        return "policy"

    @property
    def lines(self) -> tuple[str, ...]:
        return (f":{self.chain} {self.new}",)

    def of_table(self, rules: Ruleset, name: str) -> Ruleset | None:
        """Return the rule set with that policy in a table; None if the chain does not exist with the old policy."""
        table = next((table for table in rules.tables if table.name == name), None)
        declared = (
            [n for n, e in enumerate(table.entries) if isinstance(e, Chain) and e.name == self.chain] if table else []
        )
        if table is None or not declared:
            return None
        entries = list(table.entries)
        chain = entries[declared[0]]
        if not isinstance(chain, Chain) or chain.policy != self.old:
            return None
        entries[declared[0]] = replace(chain, policy=self.new)
        return _with(rules, table, entries)


@dataclass(frozen=True, slots=True)
class OfSet:
    """A line of `ipset save` is replaced, removed, or (old is '') added."""

    old: str
    new: str

    @property
    def done(self) -> str:
        return f"set {self.old}"

    @property
    def lines(self) -> tuple[str, ...]:
        return (self.new,) if self.new else ()

    def of(self, rules: Ruleset, place: Place) -> Ruleset | None:
        lines = rules.sets.splitlines()
        table = next((table for table in rules.tables if table.name == place.table), None)
        if table is None or place.within(table) is None or (self.old and self.old not in lines):
            return None
        if not self.old:
            lines.append(self.new)
        else:
            lines[lines.index(self.old) : lines.index(self.old) + 1] = [self.new] if self.new else []
        return replace(rules, sets="".join(f"{line}\n" for line in lines))


RuleEdit = Rewritten | Behind | Outermost | Preceded | OfSet
Edit = RuleEdit | Policy


def _edited(rules: Ruleset, place: Place, edit: _Change) -> Ruleset | None:
    """Return the rule set with the entries of one table edited; None if the rule is missing or the edit impossible."""
    table = next((table for table in rules.tables if table.name == place.table), None)
    at = place.within(table) if table is not None else None
    if table is None or at is None:
        return None
    entries = list(table.entries)
    return _with(rules, table, entries) if edit(entries, at) else None


def _with(rules: Ruleset, old: Table, entries: Sequence[Entry]) -> Ruleset:
    changed = replace(old, entries=tuple(entries))
    return replace(rules, entries=tuple(changed if entry is old else entry for entry in rules.entries))


def _of_chain(entries: Sequence[Entry], chain: str) -> list[int]:
    return [n for n, entry in enumerate(entries) if isinstance(entry, Rule) and entry.chain == chain]


def _has_chain(entries: Sequence[Entry], name: str) -> bool:
    return any(isinstance(entry, Chain) and entry.name == name for entry in entries)


def _text(entry: Entry) -> str:
    return entry.text if isinstance(entry, Rule) else ""
