"""What cannot work ends with one sentence on what is wrong, one on what to do, exit code 2, and nothing left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from own_machine import REPOSITORY, RULES, Machine, assert_nothing_is_left, assert_refused

WORKING = pytest.mark.parametrize("task", ["up", "handshake", "test"])
INVOKE = (sys.executable, "-m", "invoke")


@WORKING
def test_without_root(machine: Machine, task: str) -> None:
    finished = machine.run("unshare", "--user", "--", *INVOKE, task)
    assert_refused(finished, "root is missing", "sudo")
    assert_nothing_is_left(machine)


@WORKING
def test_as_a_root_that_may_nothing(machine: Machine, task: str) -> None:
    """As in a container that is not privileged."""
    finished = machine.run("setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--", *INVOKE, task)
    assert_refused(finished, "root's power over networks is missing", "--privileged")
    assert_nothing_is_left(machine)


@WORKING
def test_without_iptables(machine: Machine, task: str) -> None:
    machine.run("mount", "-t", "tmpfs", "tmpfs", "/usr/sbin")
    finished = machine.run("env", "PATH=/usr/bin:/bin", *INVOKE, task)
    assert_refused(finished, "iptables-nft-restore is missing", "invoke doctor --fix")
    assert_nothing_is_left(machine)


def test_doctor_names_what_is_missing_and_the_command_for_it(machine: Machine) -> None:
    machine.run("mount", "-t", "tmpfs", "tmpfs", "/usr/sbin")
    finished = machine.run("env", "PATH=/usr/bin:/bin", *INVOKE, "doctor")
    assert finished.returncode == 1
    (line,) = [line for line in finished.stdout.splitlines() if "iptables-legacy-restore" in line]
    assert "✗" in line
    assert "invoke doctor --fix" in finished.stdout


def test_doctor_is_content_with_this_machine(machine: Machine) -> None:
    finished = machine.invoke("doctor")
    assert finished.returncode == 0, finished.stdout
    assert "✗" not in finished.stdout


def edited(old: str, new: str) -> str:
    text = RULES.read_text()
    assert old in text
    return text.replace(old, new, 1)


@WORKING
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (edited("--dport 80 -j DNAT", "--dprt 80 -j DNAT"), "my.rules, line 35: "),
        (edited("COMMIT", "COMIT"), "my.rules, line 23: 'COMIT'"),
        ("", "my.rules has no table"),
    ],
    ids=["option", "commit", "empty"],
)
def test_rules_with_a_typo(machine: Machine, tmp_path: Path, task: str, text: str, said: str) -> None:
    rules = tmp_path / "my.rules"
    rules.write_text(text)
    finished = machine.invoke(task, "--rules", str(rules))
    assert finished.returncode == 2
    assert said in finished.stderr
    assert len(finished.stderr.splitlines()) == 2
    assert "Traceback" not in finished.stdout + finished.stderr
    assert_nothing_is_left(machine)


@WORKING
def test_rules_that_are_not_there(machine: Machine, task: str) -> None:
    finished = machine.invoke(task, "--rules", "no/such.rules")
    assert_refused(finished, "no/such.rules", "")
    assert_nothing_is_left(machine)


@WORKING
def test_a_backend_that_there_is_not(machine: Machine, task: str) -> None:
    assert_refused(machine.invoke(task, "--backend", "ebpf"), "there is no backend ebpf", "nft, legacy")


def test_cases_that_are_not_there(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text((REPOSITORY / "tasks.py").read_text())
    assert_refused(machine.invoke("test", folder=tmp_path), "there are no cases in cases", "--path")
    assert_refused(machine.invoke("claims", folder=tmp_path), "claims.toml", "--ledger")


def test_a_choice_that_chooses_nothing_is_no_success(machine: Machine) -> None:
    finished = machine.invoke("test", "-k", "nosuchcase", "--jobs", "0")
    assert finished.returncode == 2
    assert "no case was chosen, so nothing was tested" in finished.stderr
