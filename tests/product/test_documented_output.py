"""Output that README.md and docs/ show below a command is what the command prints, line for line.

A line `...` stands for any number of lines. Commands of a block run one after the other in a copy of the documents.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_machine import Machine

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.M | re.S)
_COPIED = ("README.md", "docs", "testbed/docker", "tests/data/foreign", "tasks.py")


def sessions() -> Iterator[tuple[str, list[tuple[str, list[str]]]]]:
    """Yield each console block that shows output: its place, and its commands with the lines below each."""
    for page in PAGES:
        text = page.read_text()
        for block in _BLOCK.finditer(text):
            commands: list[tuple[str, list[str]]] = []
            for line in block[1].replace("\\\n", " ").splitlines():
                if line.startswith("$ "):
                    commands.append((line.removeprefix("$ "), []))
                else:
                    commands[-1][1].append(line.rstrip())
            if any(lines for _, lines in commands):
                yield f"{page.name}:{text.count(chr(10), 0, block.start()) + 2}", commands


SESSIONS = dict(sessions())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in _COPIED:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    return tmp_path


def printed(machine: Machine, command: str, folder: Path) -> list[str]:
    """Run a command of the documents with this environment's programs, and return the lines that it prints."""
    here = command.replace("sudo ", "").replace(".venv/bin/", "")
    path = f"PATH={Path(sys.executable).parent}:{os.environ['PATH']}"
    run = machine.run("env", path, "COLUMNS=120", "LC_ALL=C.UTF-8", "bash", "-c", here, folder=folder)
    assert run.returncode in (0, 1, 3), f"{command}: exit code {run.returncode}\n{run.stderr}"
    return [line.rstrip() for line in run.stdout.splitlines()]


def shows(expected: list[str], found: list[str]) -> bool:
    """Return whether the lines found are those expected, where `...` stands for any number of lines."""
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == "..." else f"{re.escape(line)}\n" for line in expected)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in found)) is not None


@pytest.mark.parametrize("place", SESSIONS)
def test_output_below_a_command_is_what_it_prints(place: str, copy: Path, machine: Machine) -> None:
    for command, expected in SESSIONS[place]:
        found = printed(machine, command, copy)
        if expected:
            assert shows(expected, found), "\n".join([f"$ {command}", *found])


def test_documents_show_output() -> None:
    assert len(SESSIONS) >= 4


def test_another_output_is_found() -> None:
    assert shows(["a", "...", "d"], ["a", "b", "c", "d"])
    assert not shows(["a", "c"], ["a", "b", "c"])
