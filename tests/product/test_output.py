"""Whatever standard output is, a task says what happened: exit code 2 where its result could not be printed."""

from __future__ import annotations

import sys

import pytest
from own_machine import Machine, assert_nothing_is_left, assert_refused

HANDSHAKE = f"{sys.executable} -m invoke handshake"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (f"{HANDSHAKE} > /dev/full", "no space is left on the device"),
        (f"{HANDSHAKE} >&-", "standard output is closed"),
        (f"set -o pipefail; {HANDSHAKE} | true", "the output was closed"),
        (f"ulimit -n 32; {HANDSHAKE}", "open files"),
        (f"ulimit -v 250000; {HANDSHAKE}", "memory"),
        (f"setpriv --bounding-set -net_raw -- {HANDSHAKE}", "root's power over networks is missing"),
    ],
    ids=["full", "closed", "pipe", "descriptors", "memory", "no-net-raw"],
)
def test_result_that_cannot_be_had_is_refused(machine: Machine, command: str, said: str) -> None:
    assert_refused(machine.run("bash", "-c", command), said, "")
    assert_nothing_is_left(machine)


def test_marks_are_ascii_where_the_output_has_no_others(machine: Machine) -> None:
    finished = machine.run("env", "PYTHONIOENCODING=ascii", *HANDSHAKE.split()[:-1], "trace")
    assert finished.returncode == 0, finished.stderr
    assert "-> delivered to web" in finished.stdout
    assert finished.stdout.isascii()
