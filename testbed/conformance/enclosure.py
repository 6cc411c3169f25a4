"""Namespaces of processes, mounts and control groups for an engine; they end with this process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from testbed.companion_programs import start_own
from testbed.errors import EngineRefused
from testbed.kernel.namespace import Namespace

_ANOTHER = "Mend that, or choose another engine with --dockerd PATH."


@dataclass(frozen=True, slots=True)
class ProgramStart:
    """A program to start: its name, its arguments, and the socket on which it will listen."""

    name: str
    argv: tuple[str, ...]
    socket: str

    @property
    def log(self) -> str:
        """Return the file, inside the enclosure, that gets its output."""
        return f"/run/{self.name}.log"


@contextmanager
def enclosed(
    namespace: Namespace, steps: Sequence[ProgramStart], given: Mapping[str, str], links: Mapping[str, str], search: str
) -> Iterator[Path]:
    """Start programs one after the other; yield the path outside at which the files inside are visible.

    `given` are files to write first. `links` are symbolic links to make, with their targets. `search` is the programs'
    PATH. Raise EngineRefused if a program does not start.
    """
    furnished = {"files": dict(given), "links": dict(links), "path": search}
    plan = json.dumps({"steps": [asdict(step) for step in steps], **furnished})
    process = start_own(namespace, files("testbed.conformance").joinpath("enclosure_program.py"), [plan])
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        word, _, first = said.strip().partition(" ")
        if word != "ready":
            raise EngineRefused(f"the engine did not start: {said.strip() or 'it said nothing.'}", _ANOTHER)
        yield Path("/proc", first, "root")
    finally:
        process.communicate()  # closes its standard input, which ends it, and waits until all is removed
