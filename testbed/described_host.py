"""The Docker host that a user describes: by compose files (docker/hostfile.py), or by a capture of it (capture/)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from testbed.capture import source
from testbed.capture.notes import NoteKind
from testbed.capture.twin import Twin, twin
from testbed.docker import hostfile
from testbed.docker.host import DockerHost
from testbed.errors import TestbedError


@dataclass(frozen=True, slots=True)
class DescribedHost:
    """A host, the text by which `parse` gives it again, and the twin that it is, if a capture describes it."""

    host: DockerHost
    text: str
    twin: Twin | None = None


def described(
    spec: Path | str,
    environment: Mapping[str, str] | None = None,
    project_name: str | None = None,
    daemon: str | None = None,
    env_files: str | None = None,
) -> DescribedHost:
    """Return the host that files describe; raises as hostfile.described and twin do.

    Raises TestbedError for a capture with the options that belong to a compose file.
    """
    found = source.find(str(spec))
    if found is None:
        of_files = hostfile.described(spec, environment, project_name, daemon, env_files)
        return DescribedHost(of_files.host, of_files.text)
    given = {"project-name": project_name, "daemon": daemon, "env-file": env_files}
    if beside := [option for option, value in given.items() if value is not None]:
        raise TestbedError(f"--{beside[0]} is about a compose file, and {spec} is a capture.", "Leave it out.")
    capture, text = found
    made = twin(capture)
    return DescribedHost(_with_remarks(made), text, made)


def read(path: Path | str) -> DockerHost:
    """Return the host that files describe; raises as `described` does."""
    return described(path).host


def parse(text: str) -> DockerHost:
    """Return the host that a text of `described` stands for."""
    capture = source.of_text(text)
    return hostfile.parse(text) if capture is None else _with_remarks(twin(capture))


def _with_remarks(made: Twin) -> DockerHost:
    """Return a twin's host with what was approximated as remarks; what is missing is in `Twin.open` only."""
    said = [note.text for note in made.open if note.kind is NoteKind.APPROXIMATED]
    return replace(made.host, remarks=tuple(said))
