"""Ctrl-C while modules are imported: the process ends at once, whatever those modules catch."""

import subprocess
import sys
from pathlib import Path

import pytest

SAID = "error: interrupted, so there is no result.\n"
TASKS = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

from testbed.tasks import interruption
sys.meta_path.insert(0, Interrupting())
from testbed.tasks import namespace
"""


@pytest.mark.parametrize(
    ("task", "module"),
    [
        ("rules", "testbed.rules.rulefile"),
        ("rules", "testbed.docker"),
        ("trace", "scapy"),
        ("trace", "pyroute2"),
        ("up", "testbed.named"),
        ("mutate", "jinja2"),
        ("test", "pytest"),
    ],
)
def test_interruption_of_an_import_is_one_sentence_and_130(tmp_path: Path, task: str, module: str) -> None:
    (tmp_path / "tasks.py").write_text(TASKS.format(module=module))
    command = ["env", "--default-signal=INT", sys.executable, "-m", "invoke", task]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (finished.returncode, finished.stderr, finished.stdout) == (130, SAID, "")


def test_interruption_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS.format(module="testbed.rules.rulefile"))
    command = ["env", "--ignore-signal=INT", sys.executable, "-m", "invoke", "rules"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "*filter" in finished.stdout
