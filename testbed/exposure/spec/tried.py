"""Violations and proposals held against the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.bed import Testbed
from testbed.behaviour.ask import behaviours
from testbed.errors import Disagreement, RulesError
from testbed.exposure.cells import ExposureMatrix
from testbed.exposure.kernel import agrees, confirmed
from testbed.exposure.made import ExposureStand
from testbed.exposure.sending import followed
from testbed.exposure.spec.check import SpecCheck, SpecResult, Violation
from testbed.exposure.spec.entries import ExposureSpec
from testbed.exposure.spec.proposals import ClosingRules, proposal
from testbed.kernel.namespace import quarantine
from testbed.observe.journey import Journey


@dataclass(frozen=True, slots=True)
class ShownViolation:
    """A violation with its witness's journey, and the rule that would close it; None where there is none."""

    violation: Violation
    journey: Journey | None
    proposal: ClosingRules | None


@dataclass(frozen=True, slots=True)
class SpecReport:
    """The result of a spec with all that is shown of it."""

    result: SpecResult
    shown: tuple[ShownViolation, ...]
    stand: ExposureStand


def checked(stand: ExposureStand, spec: ExposureSpec, proposing: bool = True) -> SpecReport:
    """Hold a spec against a stand, over all packets; send the witness of each violation, and try each proposal.

    Raises SpecError for names that the host has not, Disagreement where the kernel does otherwise.
    """
    check = SpecCheck(stand, spec)
    result = check.result()
    if not result.violations:
        return SpecReport(result, (), stand)
    proposals = [proposal(check, one) if proposing else None for one in result.violations]
    journeys = _journeys(stand, result.violations)
    tried = [
        proposed if proposed is not None and _loads(stand, one, proposed) else None
        for one, proposed in zip(result.violations, proposals, strict=True)
    ]
    shown = tuple(map(ShownViolation, result.violations, journeys, tried))
    return SpecReport(result, shown, stand)


def _journeys(stand: ExposureStand, violations: Sequence[Violation]) -> list[Journey | None]:
    """Send the witnesses: each has to do what its violation says; return their journeys."""
    cells = tuple(one.cell for one in violations if one.cell is not None and one.cell.row.node != "internet")
    with quarantine(), Testbed(stand.topology, stand.rules, stand.backend) as bed:
        confirmed(ExposureMatrix(stand.rules.source, (), (), cells), bed)
        probes = [one.cell.witness.probe if one.cell and one.cell.witness else None for one in violations]
        return [next((own.journey for own in followed(bed, probe)), None) if probe else None for probe in probes]


def _loads(stand: ExposureStand, violation: Violation, proposed: ClosingRules) -> bool:
    """Return whether the kernel takes rules with a proposal; a violation's witness must not get through them.

    Raises Disagreement where it does.
    """
    cell = violation.cell
    probe = cell.witness.probe if cell is not None and cell.witness is not None else None
    rules = proposed.applied(stand.rules)
    try:
        with quarantine(), Testbed(stand.topology, rules, stand.backend) as bed:
            found = behaviours(bed, [probe] if probe is not None else [])
    except RulesError:
        return False
    if cell is not None and any(agrees(cell, one, stand.topology.host) for one in found):
        raise Disagreement(
            f"{proposed.rules[0]} closes {violation.what} from {violation.who}; the kernel: {found[0].outcome}.",
            "Please report it.",
        )
    return True
