"""What tasks show while they work, to somebody at a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from own_machine import REPOSITORY, own_machine

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
RULES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
"""
CASES = """\
def test_the_lan_reaches_the_web_server(bed):
    assert bed.connect("client", ("172.17.0.2", 80), via="192.168.66.100").syn.delivered_to == "web"
"""


def on_a_terminal(*arguments: str, folder: Path) -> tuple[int, str]:
    """The exit code of `invoke ARGUMENTS` and what it wrote to its terminal."""
    ours, theirs = pty.openpty()
    with own_machine() as machine:
        argv = machine.argv(sys.executable, "-m", "invoke", *arguments, folder=folder)
        running = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = b"".join(iter(lambda: read(ours), b""))
        os.close(ours)
        return running.wait(timeout=60), _ESCAPE.sub("", shown.decode())


def read(terminal: int) -> bytes:
    """What is on a terminal; nothing when no program holds its other side any more (EIO)."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("mutate", "--rules", "my.rules", "--journal", "journal", "--jobs", "1", "--fail-under", "0"),
            r"mutants ━+ [\d/]+ \d+\.\d/s",
        ),
        (("behaviours", "--rules", "my.rules"), r"probes ━+ \d+/\d+"),
    ],
    ids=["mutate", "behaviours"],
)
def test_progress_bar_on_a_terminal_is_shown(tmp_path: Path, arguments: tuple[str, ...], expected: str) -> None:
    (tmp_path / "cases").mkdir()
    (tmp_path / "tasks.py").write_text((REPOSITORY / "tasks.py").read_text())
    (tmp_path / "my.rules").write_text(RULES)
    (tmp_path / "cases" / "test_own.py").write_text(CASES)
    code, shown = on_a_terminal(*arguments, folder=tmp_path)
    assert "Traceback" not in shown
    assert re.search(expected, shown)
    assert code == 0, shown
