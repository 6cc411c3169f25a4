"""A stranger's repository: what the guides say to write there works as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from own_machine import REPOSITORY, RULES, Machine, assert_nothing_is_left

GUIDES = "".join(
    (REPOSITORY / "docs" / name).read_text() for name in ("own-repository.md", "journeys.md", "coverage.md")
)


def block(name: str) -> str:
    """The Python file of that name in the guides."""
    (found,) = re.findall(rf"```python\n# {re.escape(name)}\n(.*?)```", GUIDES, re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh virtual environment into which this project was installed, and nothing else."""
    folder = tmp_path_factory.mktemp("stranger") / ".venv"
    for command in ([sys.executable, "-m", "venv", folder], [folder / "bin" / "pip", "install", "-q", REPOSITORY]):
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
    return folder / "bin"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty folder with the files of the guides."""
    for name in ("test_my_host.py", "test_my_rules.py", "test_ways.py", "which_tests.py", "tasks.py"):
        (tmp_path / name).write_text(block(name))
    return tmp_path


def test_a_test_of_ten_lines_passes_in_parallel(machine: Machine, programs: Path, repository: Path) -> None:
    assert len(block("test_my_host.py").strip().splitlines()) <= 10
    finished = machine.run(str(programs / "pytest"), "-n", "2", "test_my_host.py", folder=repository)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "1 passed" in finished.stdout
    assert "testbed: Linux" in finished.stdout
    assert_nothing_is_left(machine)


def test_rules_of_ones_own_are_loaded_and_changed(machine: Machine, programs: Path, repository: Path) -> None:
    (repository / "my.rules").write_text(RULES.read_text())
    words = ("--testbed-rules", "my.rules", "--testbed-backend", "all", "test_my_rules.py")
    finished = machine.run(str(programs / "pytest"), *words, folder=repository)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "2 passed" in finished.stdout
    assert "rules: my.rules" in finished.stdout


def test_a_way_is_asserted_and_one_that_was_not_gone_is_explained(
    machine: Machine, programs: Path, repository: Path
) -> None:
    words = ("--testbed-backend", "all", "test_ways.py")
    finished = machine.run(str(programs / "pytest"), *words, folder=repository)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "2 passed" in finished.stdout
    (repository / "my.rules").write_text(
        RULES.read_text().replace("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -j DROP")
    )
    finished = machine.run(str(programs / "pytest"), "--testbed-rules", "my.rules", "test_ways.py", folder=repository)
    assert finished.returncode == 1
    assert "did not go the expected way: it parts at line 7" in finished.stdout
    assert "dropped at host: filter -A DOCKER-USER -j DROP" in finished.stdout
    assert_nothing_is_left(machine)


def test_the_rules_that_its_tests_reach_are_recorded(machine: Machine, programs: Path, repository: Path) -> None:
    words = ("-n", "2", "--rule-coverage=coverage.json", "test_my_host.py", "test_ways.py")
    finished = machine.run(str(programs / "pytest"), *words, folder=repository)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "rule coverage: 2 rule sets loaded, 2 tests reached a rule: coverage.json" in finished.stdout
    asked = machine.run(str(programs / "python"), "which_tests.py", folder=repository)
    assert len(asked.stdout.splitlines()) == 2, asked.stdout + asked.stderr
    assert "test_my_host.py::test_mail_is_published_on_port_2525[nft]" in asked.stdout


def test_the_tasks_work_there(machine: Machine, programs: Path, repository: Path) -> None:
    for task in ("doctor", "up", "handshake", "trace", "status", "down"):
        finished = machine.run(str(programs / "invoke"), task, folder=repository)
        assert finished.returncode == 0, finished.stdout + finished.stderr
    assert_nothing_is_left(machine)
