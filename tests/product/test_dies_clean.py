"""However a run ends, nothing of it stays: no process, no namespace, no record."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from own_machine import Machine, assert_nothing_is_left

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-s")
HANGING = """
import signal

def test_that_hangs_in_a_bed(bed):
    bed.connect("client", ("192.168.66.100", 80)).handshake()
    print("hanging", flush=True)
    signal.pause()
"""
FAILING = """
import os, pytest

def test_that_fails_in_the_middle(make_bed):
    make_bed(), make_bed().connect("client", ("192.168.66.100", 80)).syn
    raise ValueError("in the middle")

def test_that_leaves_the_process(bed):
    os._exit(9)
"""


def wait_until_alone(machine: Machine) -> None:
    """Processes that were told to end, and workers whose leader is gone, take a moment."""
    tick = threading.Event()
    for _ in range(400):
        if not machine.processes:
            return
        tick.wait(0.05)
    raise AssertionError(f"still there after 20 s: {machine.processes}")


def hanging(machine: Machine, folder: Path) -> subprocess.Popen[str]:
    """A run whose test has a bed and goes on for ever."""
    (folder / "test_hanging.py").write_text(HANGING)
    started = machine.start(*PYTEST, "test_hanging.py", folder=folder)
    assert started.stdout is not None
    while "hanging\n" not in (line := started.stdout.readline()):
        assert line, "it ended before its test hung"
    return started


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_run_that_is_ended_in_a_test(machine: Machine, tmp_path: Path, how: signal.Signals) -> None:
    started = hanging(machine, tmp_path)
    started.send_signal(how)
    said = started.communicate(timeout=60)[0]
    assert started.returncode == (2 if how == signal.SIGINT else -how)
    assert how != signal.SIGINT or "KeyboardInterrupt" in said
    wait_until_alone(machine)
    assert_nothing_is_left(machine)


@pytest.mark.parametrize("moment", [0.7, 1.2, 1.7, 2.2, 2.7])
def test_a_parallel_run_that_is_killed(machine: Machine, moment: float) -> None:
    """Killed that many seconds after its start: while it collects, while its workers have beds."""
    started = machine.start(sys.executable, "-m", "invoke", "test", "--jobs", "2")
    descriptor = os.pidfd_open(started.pid)
    select.select([descriptor], [], [], moment)
    os.close(descriptor)
    started.send_signal(signal.SIGKILL)
    started.communicate(timeout=60)
    wait_until_alone(machine)
    assert_nothing_is_left(machine)


def test_tests_that_fail_or_leave(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text(FAILING)
    finished = machine.run(*PYTEST, "-n", "2", "test_failing.py", folder=tmp_path)
    assert finished.returncode == 1, finished.stdout
    assert "2 failed" in finished.stdout
    wait_until_alone(machine)
    assert_nothing_is_left(machine)
