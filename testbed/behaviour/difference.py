"""Differences in behaviour between two rule sets, grouped so that one cause is one entry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from testbed.behaviour.behaviour import ANSWER, ERROR
from testbed.behaviour.table import Row

OPENED, CLOSED, TRANSLATED, ANSWERED, MOVED = (
    "newly open",
    "newly closed",
    "translated differently",
    "answered differently",
    "by another rule",
)
DROPPED = ("is dropped", "is rejected")
MEANINGS = {
    OPENED: "did not come through, and does now",
    CLOSED: "came through, and does not any more",
    TRANSLATED: "comes out at another place, or with another source",
    ANSWERED: "fares otherwise where it ends: its answer is lost, or a refusal is another one",
    MOVED: "fares as before, decided by another rule",
}
KINDS = tuple(MEANINGS)
_LARGE = 1_000_000  # packets; of more only the magnitude is named


@dataclass(frozen=True, slots=True)
class Change:
    """A probe whose outcome or deciding rules differ; `kind` is one of KINDS.

    A subclass has a region of packets in place of a probe (regions/comparison.py).
    """

    kind: str
    old: Row
    new: Row

    @property
    def probe(self) -> str:
        return self.old.probe

    @property
    def packets(self) -> int | None:
        """Return the number of packets of a region; None for a probe."""
        return None

    @property
    def places(self) -> tuple[str, str]:
        """Return file and line of the rule that decided on each side; empty where that is unknown."""
        return "", ""

    @property
    def notes(self) -> tuple[str, ...]:
        """Return sentences about the packet that was sent."""
        return ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.probe}: {self.old.outcome} => {self.new.outcome}"


@dataclass(frozen=True, slots=True)
class Cause:
    """Changes of one kind, decided by the same rules before and by the same rules now.

    `parted` is the rule or policy on each side that dropped the packet. If none did, it is the first that decided on
    this side only; empty if there is none.
    """

    kind: str
    changes: tuple[Change, ...]
    parted: tuple[str, str]

    @property
    def witness(self) -> Change:
        """Return the change that represents the cause."""
        return self.changes[0]

    @property
    def size(self) -> str:
        """Return how many probes differ, or how many packets the regions have: `5 probes`, `10^41 packets`."""
        counts = [change.packets for change in self.changes if change.packets is not None]
        if not counts:
            return f"{len(self.changes)} probe{'s' * (len(self.changes) > 1)}"
        return f"{_rounded(sum(counts))} packet{'s' * (sum(counts) > 1)}"


def _rounded(count: int) -> str:
    return str(count) if count < _LARGE else f"10^{len(str(count)) - 1}"


def changes(old: Iterable[Row], new: Iterable[Row]) -> list[Change]:
    """Return the changes, for each probe that both tables have, in their order."""
    now = {row.probe: row for row in new}
    pairs = ((row, now[row.probe]) for row in old if row.probe in now)
    return [Change(kind, one, other) for one, other in pairs if (kind := _kind(one, other)) is not None]


def unpaired(old: Iterable[Row], new: Iterable[Row]) -> tuple[list[str], list[str]]:
    """Return the probes that only the first table has, and those that only the second has."""
    before, now = ([row.probe for row in rows] for rows in (old, new))
    return [probe for probe in before if probe not in set(now)], [probe for probe in now if probe not in set(before)]


def causes(found: Sequence[Change]) -> list[Cause]:
    """Group changes by cause, the gravest kind first."""
    grouped: dict[tuple[object, ...], list[Change]] = {}
    for change in found:
        key = change.kind, *_parting(change), change.old.outcome.split(" ")[0], change.new.outcome.split(" ")[0]
        grouped.setdefault(key, []).append(change)
    made = [Cause(group[0].kind, tuple(group), _parting(group[0])) for group in grouped.values()]
    return sorted(made, key=lambda cause: KINDS.index(cause.kind))


def _kind(old: Row, new: Row) -> str | None:
    if old.outcome == new.outcome:
        return MOVED if old.by != new.by else None
    was, is_now = old.reaches, new.reaches
    if was != is_now:
        return OPENED if is_now else CLOSED
    same_place = old.outcome.partition(",")[0] == new.outcome.partition(",")[0]
    return TRANSLATED if was and not same_place else ANSWERED


def decided(row: Row, rule: str) -> str:
    """Name the rules that decided about a packet; for a dropped packet the dropping rule first, then `rule`."""
    dropper = _dropper(row)
    if not dropper or rule == dropper or rule.startswith((ANSWER, ERROR)):
        return rule or dropper
    return f"{dropper}, after {rule}" if rule else dropper


def _parting(change: Change) -> tuple[str, str]:
    return _decisive(change.old, change.new), _decisive(change.new, change.old)


def _decisive(own: Row, other: Row) -> str:
    """Return the rule that dropped the packet on this side only; else the first that decided on this side only."""
    dropper = _dropper(own)
    if dropper and not _dropper(other):
        return dropper
    return next((rule for rule in own.by if rule not in other.by), "")


def _dropper(row: Row) -> str:
    """Return the rule or policy that dropped the packet, the last that decided; empty if it was not dropped."""
    of_question = [rule for rule in row.by if not rule.startswith((ANSWER, ERROR))]
    return of_question[-1] if of_question and row.outcome.startswith(DROPPED) else ""
