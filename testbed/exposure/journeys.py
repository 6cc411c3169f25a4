"""The journeys of a matrix's witnesses, each sent once, for a page."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.bed import Testbed
from testbed.behaviour.probe_setup import made_ready
from testbed.behaviour.probes import Probe
from testbed.exposure.cells import ExposureMatrix
from testbed.exposure.made import ExposureStand
from testbed.exposure.sending import followed
from testbed.kernel.namespace import quarantine
from testbed.traced_connection import CountedJourney, Story

MOST = 120  # witnesses that a page shows


@dataclass(frozen=True, slots=True)
class WitnessJourneys:
    """A story of witnesses, and the place of each probe in it."""

    story: Story
    places: dict[Probe, int]


def witness_journeys(stand: ExposureStand, matrix: ExposureMatrix) -> WitnessJourneys:
    """Send the witnesses of a matrix again, traced, and return their journeys."""
    probes = list(dict.fromkeys(cell.witness.probe for cell in matrix.cells if cell.witness and cell.witness.probe))
    with quarantine(), Testbed(stand.topology, stand.rules, stand.backend) as bed:
        made_ready(bed, probes[:MOST])
        sent: list[CountedJourney] = []
        places: dict[Probe, int] = {}
        for probe in probes[:MOST]:
            if found := followed(bed, probe):
                places[probe] = len(sent)
                sent += found[:1]
        about = f"{stand.rules.source}, {stand.program}"
        story = Story("The witnesses of the matrix", about, bed.topology, bed.words(), tuple(sent))
    return WitnessJourneys(story, places)
