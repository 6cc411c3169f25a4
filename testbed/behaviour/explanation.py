"""Explain differences by the journeys of their witnesses on both sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.behaviour.difference import DROPPED as DROPPED_OUTCOMES
from testbed.behaviour.difference import Cause
from testbed.behaviour.divergence import Parting, parting
from testbed.behaviour.probes import Probe
from testbed.behaviour.referenced_values import Ports
from testbed.behaviour.table import Row
from testbed.behaviour.variant import RulesetVariant
from testbed.behaviour.witness import ProbeJourneys, Ways, witnesses
from testbed.docker import DockerHost
from testbed.observe.journey import DROPPED, LET_THROUGH
from testbed.visible import visible


@dataclass(frozen=True, slots=True)
class Explained:
    """A cause, and the journeys of its witness; None on a side that is a table, since a table has no rules to probe."""

    cause: Cause
    old: ProbeJourneys | None = None
    new: ProbeJourneys | None = None

    @property
    def parting(self) -> Parting | None:
        """Return the divergence of the journeys; None if they do not diverge or one is unknown."""
        return parting(self.old, self.new) if self.old is not None and self.new is not None else None

    @property
    def otherwise(self) -> bool:
        """Return whether the witness, sent again by itself, had another outcome: a rule counts or keeps state."""
        witness = self.cause.witness
        if witness.packets is not None:
            return False
        pairs = (self.old, witness.old), (self.new, witness.new)
        return any(way is not None and _fared_otherwise(way, row) for way, row in pairs)

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON output."""
        old, new = (way.as_dict() if way is not None else None for way in (self.old, self.new))
        found = self.parting
        return {
            "kind": self.cause.kind,
            "probes": [change.probe for change in self.cause.changes],
            "packets": [change.packets for change in self.cause.changes],
            "witness": {"probe": self.cause.witness.probe, "old": old, "new": new},
            "parting": found.as_dict() if found is not None else None,
        }


def _fared_otherwise(way: ProbeJourneys, row: Row) -> bool:
    """Return whether the packet was delivered, or dropped by a rule, contrary to the row."""
    end = way.question.end if way.question is not None else None
    if end is not None and end.kind == LET_THROUGH:
        return row.outcome.startswith(DROPPED_OUTCOMES)
    elsewhere = end is not None and end.kind == DROPPED and visible(end.by) not in row.by
    return way.reaches != row.reaches or elsewhere


def explained(
    host: DockerHost,
    sides: Sequence[RulesetVariant | None],
    probes: Iterable[Probe],
    causes: Sequence[Cause],
    taken: Ports = (),
) -> list[Explained]:
    """Return each cause with the journeys of its witness, sent again on a bed of each side; None is a table.

    Raise what a bed and tracing raise.
    """
    wanted = {cause.witness.probe for cause in causes}
    asked = [probe for probe in probes if str(probe) in wanted]
    own = [side for side in sides if side is not None]
    found = iter(witnesses(host, own, asked, taken) if asked and own else [{} for _ in own])
    nothing: Ways = {}
    old, new = (next(found) if side is not None else nothing for side in sides)
    return [Explained(cause, old.get(cause.witness.probe), new.get(cause.witness.probe)) for cause in causes]
