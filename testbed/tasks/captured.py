"""The packets of a task in a pcapng file: frames of each link, with the journeys as comments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from testbed.bed import Testbed
from testbed.observe.journey import Journey
from testbed.observe.link_capture import LinkCapture
from testbed.rules import AnyRuleset


@contextmanager
def captured(bed: Testbed, file: str) -> Iterator[LinkCapture | None]:
    """Capture the frames of a bed while the block runs, if they are to be written to a file."""
    if not file:
        yield None
        return
    with LinkCapture(bed.topology, bed.namespaces, bed.settle_everywhere) as capture:
        yield capture


@contextmanager
def journeys(bed: Testbed, file: str) -> Iterator[list[Journey]]:
    """Trace a bed while the block runs, if frames are to be written; the list has the journeys afterwards."""
    found: list[Journey] = []
    if not file:
        yield found
        return
    with bed.tracing() as tracing:
        yield found
        found.extend(tracing.journeys())


def write_capture(file: str, capture: LinkCapture | None, told: Iterable[Journey], rules: AnyRuleset) -> None:
    """Write what was captured."""
    if capture is not None:
        from testbed.report import pcapng

        pcapng.write(file, capture.frames, told, rules)
