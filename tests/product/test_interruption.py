"""Ctrl-C in a task: one sentence, exit code 130, and nothing is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from own_machine import REPOSITORY, Machine, assert_nothing_is_left

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
    assert not [line for line in said if "fail" in line or "Traceback" in line], said
    assert_nothing_is_left(machine)


EARLY = (
    ("up",),
    ("behaviours",),
    ("mutate", "--journal", "/run/mutants.jsonl"),
)
LOADED = "from testbed.tasks import namespace\n\n__all__ = ['namespace']\nprint('loaded', flush=True)\n"


@pytest.mark.parametrize("arguments", EARLY, ids=" ".join)
@pytest.mark.parametrize("seed", range(4))
def test_task_interrupted_at_a_random_early_moment_says_so_and_leaves_nothing(
    machine: Machine, tmp_path: Path, arguments: tuple[str, ...], seed: int
) -> None:
    (tmp_path / "tasks.py").write_text(LOADED)
    (tmp_path / "cases").symlink_to(REPOSITORY / "cases")
    moment = Random(f"{seed} {arguments}").uniform(0.0, 0.3)  # seconds; `up` takes three times as long
    started = machine.start(*INVOKE, *arguments, folder=tmp_path)
    assert started.stdout is not None
    assert started.stdout.readline() == "loaded\n"
    with suppress(subprocess.TimeoutExpired):
        started.wait(moment)
    started.send_signal(signal.SIGINT)
    said = started.communicate(timeout=120)[0].splitlines()
    assert (started.returncode, said[-1:]) == (130, [SAID]), (moment, said)
    assert not [line for line in said if "Traceback" in line]
    assert_nothing_is_left(machine)
