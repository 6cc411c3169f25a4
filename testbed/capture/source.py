"""Where a capture comes from: a file of `invoke capture`, a sos report, a folder or files with a part of one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from testbed.capture import parts
from testbed.capture.reader import from_sections, parse
from testbed.capture.sections import Section, is_capture
from testbed.capture.values import HostCapture
from testbed.docker.compose.project import compose_file_in
from testbed.errors import CaptureError
from testbed.rules import files

_REMEDY = "Give a file of `invoke capture`, a sos report's folder, or what `ip -j addr` and `iptables-save` print."
_PARTS = '{"docker-host-testbed": "capture in parts"'


def read(spec: str) -> tuple[HostCapture, str]:
    """Return the capture that a word names, and the text by which `of_text` gives it again.

    Raises CaptureError for what is no capture, and for one that cannot be read.
    """
    found = find(spec)
    if found is None:
        raise CaptureError(f"{spec} is no capture of a host.", _REMEDY)
    return found


def find(spec: str) -> tuple[HostCapture, str] | None:
    """Return what `read` does; None for what is no capture, as a compose file or its folder."""
    path = Path(spec)
    if spec == files.STANDARD_INPUT:
        return _standard_input()
    if path.is_dir():
        return None if compose_file_in(path) else _of_parts(parts.in_folder(path), spec)
    if path.exists():
        return _of_file(path)
    paths = [Path(part) for part in spec.split(",")]
    if len(paths) < 2 or not all(one.is_file() for one in paths):
        return None
    kinds = [parts.kind_of(files.text_of(one, _REMEDY, CaptureError), one.name) for one in paths]
    return _of_parts(parts.in_files(paths), spec) if "addresses" in kinds else None


def of_text(text: str, source: str = "the capture") -> HostCapture | None:
    """Return the capture that a text is; None for another text."""
    if is_capture(text):
        return parse(text, source)
    if not text.startswith(_PARTS):
        return None
    found = json.loads(text)["sections"]
    return from_sections({name: Section(name, file, line, tuple(lines)) for name, file, line, lines in found}, source)


def _of_file(path: Path) -> tuple[HostCapture, str] | None:
    text = files.text_of(path, _REMEDY, CaptureError)
    if is_capture(text):
        return parse(text, str(path)), text
    return _of_parts(parts.in_files([path]), str(path)) if parts.kind_of(text, path.name) == "addresses" else None


def _of_parts(found: Mapping[str, Section], source: str) -> tuple[HostCapture, str] | None:
    if "addresses" not in found:
        return None
    kept = [(own.name, own.source, own.line, own.lines) for own in found.values()]
    text = f"{_PARTS}, {json.dumps({'sections': kept})[1:]}"
    return from_sections(found, source), text


def _standard_input() -> tuple[HostCapture, str] | None:
    """Return the capture on standard input; another text is put back, so that it can be read once more."""
    text = files.text_of(files.STANDARD_INPUT, _REMEDY, CaptureError)
    if is_capture(text):
        return parse(text, files.name_of(files.STANDARD_INPUT)), text
    descriptor = os.memfd_create("standard-input")
    with os.fdopen(descriptor, "wb") as again:
        again.write(text.encode())
        again.flush()
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.dup2(descriptor, 0)
    return None
