"""Processes, mounts and control groups for an engine, around its network namespace; gone with us, however we end."""

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
    """A program to start: what it is called, its words, and the socket on which it will listen."""

    name: str
    argv: tuple[str, ...]
    socket: str

    @property
    def log(self) -> str:
        """The file, inside, that gets what it says."""
        return f"/run/{self.name}.log"


@contextmanager
def enclosed(
    namespace: Namespace, steps: Sequence[ProgramStart], given: Mapping[str, str], links: Mapping[str, str], search: str
) -> Iterator[Path]:
    """Start programs one after the other; gives the folder where the files inside can be seen from outside.

    `given` are files to write first and `links` symbolic links to make, with what they lead to; `search` is the
    programs' PATH. Raises EngineRefused when one does not come up.
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
        process.communicate()  # closes its standard input, which ends it, and waits until all is gone
