"""The pytest option --testbed-artifacts: what a person needs of the beds of a failed test, a folder for each test.

Every bed is traced and its links are captured while a test uses it. A test that traces its bed itself is not disturbed.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.bed import Testbed
from testbed.bed_events import BedObserver, observing
from testbed.errors import TestbedError
from testbed.kernel.backends import ALL
from testbed.observe.background import BackgroundTracing
from testbed.observe.crosscheck import traced
from testbed.observe.journey import DELIVERED, LOCAL_INPUT, Journey
from testbed.observe.link_capture import LinkCapture, LinkFrame
from testbed.observe.tracing import Watcher
from testbed.report import journey as journey_report
from testbed.report import pcapng, repro
from testbed.report.page import Page, html
from testbed.rules import AnyRuleset
from testbed.rules.reading import CounterReading
from testbed.rules.ruleset import Ruleset
from testbed.topology import Topology
from testbed.traced_connection import CountedJourney, Story

NAME = "testbed-artifacts"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST = 150  # characters of a folder's name


@dataclass(frozen=True, slots=True)
class BedArtifacts:
    """What is known of a bed with one rule set: its rules as loaded and as the kernel has them, and its packets."""

    topology: Topology
    program: str
    rules: AnyRuleset
    words: Ruleset
    before: CounterReading
    after: CounterReading
    journeys: tuple[Journey, ...]
    frames: tuple[LinkFrame, ...]
    trouble: str = ""

    @property
    def undelivered(self) -> list[Journey]:
        """The journeys of packets that ended before they arrived."""
        return [journey for journey in self.journeys if journey.end.kind not in (DELIVERED, LOCAL_INPUT)]

    @property
    def story(self) -> Story:
        """The packets, each with what the rules counted for it."""
        packets, before = [], self.before
        for journey in self.journeys:
            if not journey.is_copy:
                counted = traced([journey, *journey.copies], before)
                packets.append(CountedJourney(journey, before, counted))
                before = before + counted
        about = f"{self.rules.source}, {self.program}"
        return Story("The packets of the test", about, self.topology, self.words, tuple(packets))


class _RecordedBed(BackgroundTracing):
    """A bed whose packets are recorded from the loading of a rule set on."""

    def __init__(self, bed: Testbed) -> None:
        self._trouble = ""
        super().__init__(bed, self._noting_trouble)
        self._bed = bed
        self._journeys: list[Journey] = []
        self._capture = LinkCapture(bed.topology, bed.namespaces, bed.settle_everywhere)

    def start(self) -> None:
        with self._noting_trouble():
            self._capture.__enter__()
            self._before = self._bed.raw_counters()
            self.trace()

    def took(self, journeys: Sequence[Journey]) -> None:
        self._journeys += journeys

    def finish(self) -> BedArtifacts | None:
        """End the recording and return it; None if no rule set can be read any more."""
        self.pause()
        with self._noting_trouble():
            self._capture.__exit__(None, None, None)
        with self._noting_trouble():
            bed = self._bed
            return BedArtifacts(
                bed.topology,
                ALL[bed.backend.name].program,
                bed.loaded,
                bed.words(),
                self._before,
                bed.raw_counters(),
                tuple(self._journeys),
                self._capture.frames,
                self._trouble,
            )
        return None

    @contextmanager
    def _noting_trouble(self) -> Iterator[None]:
        """Keep an error of the recording from the test, which is not at fault."""
        try:
            yield
        except TestbedError as error:
            self._trouble = self._trouble or str(error)


class Artifacts(BedObserver):
    """The plugin: records the beds of each test, and writes those of a failed one."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._beds: dict[int, _RecordedBed] = {}
        self._ended: list[BedArtifacts] = []
        self._ends = ExitStack()

    def loaded(self, bed: Testbed) -> None:
        self._beds[id(bed)] = _RecordedBed(bed)
        self._beds[id(bed)].start()

    def leaving(self, bed: Testbed) -> None:
        if (recorded := self._beds.pop(id(bed), None)) is not None and (found := recorded.finish()) is not None:
            self._ended.append(found)

    def watcher(self, bed: Testbed) -> Watcher | None:
        return self._beds.get(id(bed))

    def pytest_sessionstart(self) -> None:
        self._ends.enter_context(observing(self))

    def pytest_sessionfinish(self) -> None:
        self._ends.close()

    def pytest_runtest_setup(self) -> None:
        self._ended.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and call.when == "call":
            for recorded in self._beds.values():
                recorded.harvest()
            found = [recorded.finish() for recorded in self._beds.values()]
            self._beds.clear()
            folder = self._folder / _UNSAFE.sub("-", item.nodeid).strip("-")[-_LONGEST:]
            beds = [*self._ended, *(one for one in found if one is not None)]
            undelivered = [f"{_about(journey)}: {journey.end}" for bed in beds for journey in bed.undelivered]
            write(folder, "\n".join([*undelivered[-1:], "", report.longreprtext]), beds)
            if undelivered:
                report.sections.append(("packets that did not arrive", "\n".join(reversed(undelivered))))
            report.sections.append(("artifacts", str(folder)))
        return report


def _about(journey: Journey) -> str:
    return f"{journey.sent.kind} of {journey.origin}, {journey.sent.from_} > {journey.sent.to}"


def write(folder: Path, failure: str, beds: Sequence[BedArtifacts]) -> None:
    """Write the files of a failed test; several beds have a folder each."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "failure.txt").write_text(f"{failure}\n")
    for number, bed in enumerate(beds, start=1):
        own = folder / f"bed-{number}" if len(beds) > 1 else folder
        own.mkdir(exist_ok=True)
        for name, text in _texts(folder.name, bed):
            (own / name).write_text(text)
        (own / "repro.sh").chmod(0o755)
        pcapng.write(str(own / "packets.pcapng"), bed.frames, bed.journeys, bed.rules)


def _texts(title: str, bed: BedArtifacts) -> Iterator[tuple[str, str]]:
    yield "rules.txt", bed.rules.text
    yield "counters.txt", f"{bed.after.text(bed.after)}\n"
    told = ["\n".join(line.plain for line in journey_report.lines(journey)) for journey in bed.journeys]
    incomplete = [f"The recording is incomplete: {bed.trouble}"] if bed.trouble else []
    yield "journeys.txt", "\n\n".join([*incomplete, *told]) + "\n"
    yield "journeys.html", html(Page(title, (bed.story,)))
    yield "repro.sh", repro.script(title, bed.topology, bed.rules, bed.program, bed.frames, bed.journeys)
