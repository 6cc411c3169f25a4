"""Two captures of a host as the sides of a comparison: its rules before and now, and what of the host changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testbed.behaviour.comparison import Given
from testbed.behaviour.variant import RulesetVariant
from testbed.capture import source
from testbed.capture.changes import compared
from testbed.capture.notes import NoteKind
from testbed.capture.twin import Twin, twin
from testbed.capture.upgrade import with_engine
from testbed.docker import DockerHost
from testbed.errors import TestbedError
from testbed.report.located import Source
from testbed.rules import AnyRuleset
from testbed.tasks.chosen import choose
from testbed.tasks.compared import ComparedSide, backends_of, side_of
from testbed.tasks.host_options import HostOptions, require_values

_BOTH = "Give two captures, or two rule sets with --host FILE.capture."


@dataclass(frozen=True, slots=True)
class ComparedHosts:
    """A host to compare two rule sets on; `described`: it is the user's own. `said` are sentences on the host.

    What of the host no packet judges, and what a bed does not have, is among the contradictions of the sides.
    """

    host: DockerHost
    described: bool
    sides: tuple[ComparedSide, ComparedSide]
    said: tuple[str, ...] = ()


def compared_hosts(old: str, new: str, host: HostOptions | None, engine: str | None, backends: str) -> ComparedHosts:
    """Return what the arguments of `invoke diff` are: two captures of a host, or two rule sets on one."""
    require_values(engine=engine)
    captured = of_captures(old, new, engine) if host is None else None
    if captured is not None:
        return captured
    if engine is not None:
        raise TestbedError("--engine is about two captures.", f"Name the engine as a side: invoke diff {old} {engine}.")
    first, second = backends_of(backends)
    sides = side_of(old, host, first), side_of(new, host, second)
    return ComparedHosts(choose(host, None, None).host, host is not None, sides)


def of_captures(old: str, new: str, engine: str | None) -> ComparedHosts | None:
    """Return the sides that two captures are, of the second with another engine's rules if one is named.

    None where neither is a capture; raises TestbedError where one is.
    """
    found = [source.find(word) if Path(word).exists() else None for word in (old, new)]
    if not any(found):
        return None
    first, second = found
    if first is None or second is None:
        other = old if first is None else new
        raise TestbedError(f"{other} is no capture, and the other side is one.", _BOTH)
    return of_twins(twin(first[0]), twin(second[0]), (old, new), engine)


def of_twins(before: Twin, now: Twin, names: tuple[str, str], engine: str | None = None) -> ComparedHosts:
    """Return the sides that two twins of one host are; raises what `compared` and `with_engine` raise."""
    found = compared(before, now)
    rules = with_engine(now, engine) if engine is not None else found.new
    missing = [[note.text for note in made.open if note.kind is NoteKind.MISSING] for made in (before, now)]
    apart = [text for text in missing[1] if text not in missing[0]]
    unjudged = [f"{text} No packet of this comparison judges it." for text in found.open]
    sides = (
        _side(names[0], found.old, before.backend, missing[0]),
        _side(names[1], rules, now.backend, [*apart, *unjudged]),
    )
    return ComparedHosts(found.host, True, sides, tuple(change.text for change in found.changes if change.judged))


def _side(name: str, rules: AnyRuleset, backend: str, apart: list[str]) -> ComparedSide:
    return ComparedSide(Source.of_file(Path(name), rules), Given(RulesetVariant(rules, backend)), tuple(apart))
