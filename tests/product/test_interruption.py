"""Ctrl-C in a task: one sentence, exit code 130, and nothing is left behind."""

from __future__ import annotations

import signal
import sys

import pytest
from own_machine import Machine, assert_nothing_is_left

INVOKE = (sys.executable, "-m", "invoke")
SAID = "error: interrupted, so there is no result."


@pytest.mark.parametrize(
    ("arguments", "when"),
    [
        (("test",), "created: "),
        (("test", "--jobs", "0"), "test session starts"),
        (("coverage",), "created: "),
    ],
    ids=["test", "test-one-process", "coverage"],
)
def test_interrupted_task_says_so_and_leaves_nothing(machine: Machine, arguments: tuple[str, ...], when: str) -> None:
    started = machine.start(*INVOKE, *arguments)
    assert started.stdout is not None
    while when not in (line := started.stdout.readline()):
        assert line, "it ended before it could be interrupted"
    started.send_signal(signal.SIGINT)
    said = started.communicate(timeout=120)[0].splitlines()
    assert started.returncode == 130, said
    assert said[-1] == SAID
    assert not [line for line in said if "fail" in line or "Traceback" in line]
    assert_nothing_is_left(machine)
