"""What tasks print on terminals of several widths and kinds, and where there is no terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest
from own_machine import REPOSITORY, RULES, own_machine
from rich.cells import cell_len

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CASES = """
def test_the_lan_reaches_the_web_server(bed):
    assert bed.connect("client", ("172.17.0.2", 80), via="192.168.66.100").syn.delivered_to == "web"
"""
SMALL = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
"""
TASKS = {
    "trace": ["trace"],
    "diff": ["diff", "article", "other.rules"],
    "mutate": ["mutate", "--rules", "small.rules", "--journal", "journal", "--jobs", "1", "--fail-under", "0"],
    "behaviours": ["behaviours", "--rules", "small.rules"],
    "coverage": ["coverage", "--rules", "small.rules", "--path", "cases", "--jobs", "0"],
    "exposure": ["exposure", "--host", "compose.yaml"],
    "test": ["test", "--jobs", "0"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with cases, two rule sets and a compose file."""
    made = tmp_path_factory.mktemp("project")
    (made / "tasks.py").write_text((REPOSITORY / "tasks.py").read_text())
    (made / "small.rules").write_text(SMALL)
    (made / "other.rules").write_text(RULES.read_text().replace("--dport 80 -j ACCEPT", "--dport 81 -j ACCEPT"))
    (made / "compose.yaml").write_text("services:\n  web: {image: nginx, ports: ['8080:80']}\n")
    (made / "cases").mkdir()
    (made / "cases" / "test_web.py").write_text(CASES)
    return made


def on_a_terminal(folder: Path, task: str, width: int, environment: Mapping[str, str]) -> tuple[int, str]:
    """The exit code of a task and all that it wrote to a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    given = [f"{name}={value}" for name, value in environment.items()]
    with own_machine() as machine:
        argv = machine.argv("env", "-u", "COLUMNS", *given, sys.executable, "-m", "invoke", *TASKS[task], folder=folder)
        running = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
        os.close(ours)
        return running.wait(timeout=120), shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


SLOW = {"mutate", "coverage", "test"}


@pytest.mark.parametrize(
    ("task", "width"), [(task, width) for task in TASKS for width in ((60,) if task in SLOW else (60, 80, 120))]
)
def test_task_fits_its_terminal(folder: Path, task: str, width: int) -> None:
    code, shown = on_a_terminal(folder, task, width, {"TERM": "xterm-256color"})
    assert code in (0, 1, 3), shown
    assert "Traceback" not in shown
    text = _ESCAPE.sub("", shown)
    assert len(text.splitlines()) > 3
    framed = [line for line in re.split(r"[\r\n]+", text) if re.search(r"[│┃┏└━]", line)]
    assert [line for line in framed if cell_len(line) > width] == []


@pytest.mark.parametrize(
    "environment", [{"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"]
)
@pytest.mark.parametrize("task", ["trace", "diff"])
def test_terminal_without_colours_gets_none(folder: Path, task: str, environment: dict[str, str]) -> None:
    code, shown = on_a_terminal(folder, task, 80, environment)
    assert code in (0, 1, 3), shown
    coloured = [found for found in _COLOUR.findall(shown) if re.search(r"\b(3[0-7]|4[0-7]|9[0-7]|38|48)\b", found)]
    assert coloured == []
    if environment["TERM"] == "dumb":
        assert "\x1b" not in shown


@pytest.mark.parametrize("task", ["trace", "diff", "mutate", "exposure"])
def test_terminal_of_ascii_gets_ascii(folder: Path, task: str) -> None:
    code, shown = on_a_terminal(folder, task, 80, {"TERM": "dumb", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"})
    assert code in (0, 1, 3), shown
    assert shown.isascii()
    assert "\\u" not in shown


def test_trace_marks_rules_in_ascii(folder: Path) -> None:
    _, shown = on_a_terminal(folder, "trace", 80, {"TERM": "dumb", "PYTHONIOENCODING": "ascii"})
    assert "+ 1 -m addrtype --dst-type LOCAL -j DOCKER" in shown
    assert "x 1 -i docker0 -j RETURN" in shown
    assert "-> delivered to web" in shown
