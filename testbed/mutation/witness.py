"""A witness against a mutant: a probe that distinguishes it from the rules, and a case that would kill it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from testbed.behaviour import table
from testbed.behaviour.behaviour import ANSWER, ERROR, Behaviour
from testbed.behaviour.difference import KINDS, MOVED, Change, changes
from testbed.behaviour.mutants import Mutant
from testbed.behaviour.probe_cache import ProbeCache
from testbed.behaviour.probing import ask
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import DockerHost
from testbed.errors import TestbedError
from testbed.mutation.aliases import RuleAliases
from testbed.mutation.outcome import Witness
from testbed.mutation.proposal import Proposal, Setting, cases, setting
from testbed.mutation.source import source
from testbed.mutation.trial import notices
from testbed.rules.ruleset import Ruleset
from testbed.visible import visible

Sides = tuple[DockerHost, Ruleset, Ruleset]  # a host, the rules for it, and their mutant
_TRIED = 5  # probes that are turned into a case, until one case detects the mutant


@dataclass(frozen=True, slots=True)
class Told:
    """A change with both of its behaviours."""

    change: Change
    before: Behaviour
    now: Behaviour


def told_apart(
    host: DockerHost, rules: Ruleset, changed: Ruleset, backend: str, memory: ProbeCache | None = None
) -> list[Told]:
    """Return every probe with another outcome, or other deciding rules, with the mutant; the gravest kind first."""
    sides = RulesetVariant(rules, backend), RulesetVariant(changed, backend)
    answers = memory.ask(host, *sides) if memory is not None else ask(host, sides, lambda _: lambda: None)
    before, now = answers.sides
    behind = {str(one.probe): (one, other) for one, other in zip(before, now, strict=True)}
    names = {visible(str(line)): visible(str(name)) for line, name in RuleAliases.of(rules, changed).called.items()}
    rows = [replace(row, by=tuple(_named(by, names) for by in row.by)) for row in table.rows(now)]
    found = [Told(change, *behind[change.probe]) for change in changes(table.rows(before), rows)]
    return sorted(found, key=lambda told: KINDS.index(told.change.kind))


def _named(by: str, names: Mapping[str, str]) -> str:
    """Return a deciding rule under its original name: a mutated rule's own text is no change of behaviour."""
    about = next((prefix for prefix in (ANSWER, ERROR) if by.startswith(prefix)), "")
    rule = by.removeprefix(about)
    return f"{about}{names.get(rule, rule)}"


def fares_differently(host: DockerHost, rules: Ruleset, changed: Ruleset, backend: str, memory: ProbeCache) -> bool:
    """Return whether any probe has another outcome with the mutant."""
    before, now = memory.ask(host, RulesetVariant(rules, backend), RulesetVariant(changed, backend), briefly=True).sides
    return any(one.outcome != other.outcome for one, other in zip(before, now, strict=True))


def witness(
    mutant: Mutant, sides: Iterable[Sides], under_test: Ruleset | None, backend: str, memory: ProbeCache | None = None
) -> Witness | None:
    """Return a probe that distinguishes the mutant, on the first host that has one, with a tried case."""
    moved: Witness | None = None
    for host, rules, changed in dict.fromkeys(sides):
        made = setting(host, rules, under_test)
        for told in _certain(host, rules, changed, backend, memory)[:_TRIED]:
            proposal = _tried(told, made, changed, backend) if made is not None else None
            change, written = told.change, source(mutant, proposal) if proposal is not None else ""
            found = Witness(change.probe, change.kind, _words(told.before), _words(told.now), written)
            if change.kind != MOVED and written:
                return found
            if moved is None or (written and not moved.case):
                moved = found
        if moved is not None and moved.kind != MOVED:
            return moved
    return moved


def _certain(host: DockerHost, rules: Ruleset, changed: Ruleset, backend: str, memory: ProbeCache | None) -> list[Told]:
    """Return the differences that appear each time the probes are sent."""
    found = told_apart(host, rules, changed, backend, memory)
    again = {told.change for told in told_apart(host, rules, changed, backend)} if found else set()
    return [told for told in found if told.change in again]


def _words(behaviour: Behaviour) -> str:
    """Describe the outcome, the last rule that decided about the question, and the droppers of answer or errors."""
    about = [by for by in behaviour.by if by.startswith((ANSWER, ERROR))]
    question = [by for by in behaviour.by if by not in about][-1:]
    decided = ", ".join((*question, *about))
    return f"{behaviour.outcome}{f'   by {decided}' if decided else ''}"


def _tried(told: Told, made: Setting, changed: Ruleset, backend: str) -> Proposal | None:
    """Return a case that passes on the rules and fails on the mutant; None if there is none."""
    for case in cases(told.before, told.now, made, backend):
        proposal = Proposal(made, case)
        try:
            if notices(proposal, changed, backend):
                return proposal
        except TestbedError:
            continue
    return None
