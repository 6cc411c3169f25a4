"""invoke up, status, down: beds that stay, are told apart, and go without a trace."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from pathlib import Path

import pytest
from own_machine import RULES, Machine, assert_nothing_is_left, assert_refused

NODES = ("client", "gateway", "host", "internet", "lan", "web")


def names_of(bed: str) -> list[str]:
    return [f"{bed}-{node}" for node in NODES]


def test_up_draws_the_map_and_says_what_to_try_and_every_command_works(machine: Machine) -> None:
    up = machine.invoke("up")
    assert up.returncode == 0, up.stderr
    for shown in ("ens33 192.168.66.100/24", "docker0 172.17.0.1/16", "203.0.113.10/24", "18 rules"):
        assert shown in up.stdout
    assert machine.names == names_of("testbed")
    to_try = [line.split("  ")[1].strip() for line in up.stdout.split("What to try next\n")[1].splitlines()]
    assert to_try[-1] == "invoke down"
    answers = {}
    for command in to_try:
        words = [sys.executable, "-m", *command.split()] if command.startswith("invoke") else command.split()
        finished = machine.run(*words)
        assert finished.returncode == 0, (command, finished.stderr)
        answers[command] = finished.stdout
    assert answers["ip netns exec testbed-client curl http://192.168.66.100"].startswith(
        "web 172.17.0.2:80 answers 192.168.66.1:"
    )
    assert answers["ip netns exec testbed-web curl http://203.0.113.10"].startswith(
        "internet 203.0.113.10:80 answers 192.168.66.100:"
    )
    assert_nothing_is_left(machine)


def test_up_again_changes_nothing(machine: Machine) -> None:
    assert machine.invoke("up").returncode == 0
    identities = machine.run("stat", "--format=%i", "/run/netns/testbed-host").stdout
    again = machine.invoke("up", "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["up"] is True
    assert machine.run("stat", "--format=%i", "/run/netns/testbed-host").stdout == identities
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


def test_two_beds_stand_side_by_side_and_go_one_by_one(machine: Machine) -> None:
    for name, backend in (("blue", "nft"), ("green", "legacy")):
        assert machine.invoke("up", "--name", name, "--backend", backend).returncode == 0
        shaken = machine.invoke("handshake", "--name", name, "--json")
        assert json.loads(shaken.stdout)["bed"] == f"the bed {name}"
        assert json.loads(shaken.stdout)["backend"] == backend
    assert machine.names == sorted(names_of("blue") + names_of("green"))
    status = json.loads(machine.invoke("status", "--json").stdout)
    assert [(bed["name"], bed["up"], bed["programs"]) for bed in status] == [
        ("blue", True, True),
        ("green", True, True),
    ]
    assert machine.invoke("down", "--name", "blue").returncode == 0
    assert machine.names == names_of("green")
    assert machine.invoke("down", "--all").returncode == 0
    assert_nothing_is_left(machine)


def test_the_name_of_a_bed_with_other_rules_is_refused(machine: Machine, tmp_path: Path) -> None:
    other = tmp_path / "other.rules"
    other.write_text(RULES.read_text().replace("-A DOCKER-USER -j RETURN\n", ""))
    assert machine.invoke("up").returncode == 0
    assert_refused(machine.invoke("up", "--rules", str(other)), "the bed testbed is up already", "invoke down")
    assert_refused(machine.invoke("up", "--backend", "legacy"), "the bed testbed is up already", "invoke down")
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


def test_a_namespace_of_somebody_else_is_left_alone(machine: Machine) -> None:
    assert machine.run("ip", "netns", "add", "testbed-web").returncode == 0
    assert_refused(machine.invoke("up"), "a network namespace named testbed-web is there already", "--name")
    assert_refused(machine.invoke("down"), "no bed named testbed is up", "invoke up")
    assert machine.names == ["testbed-web"]
    assert machine.records == []


def test_of_two_ups_at_once_one_makes_the_bed(machine: Machine) -> None:
    both = [machine.start(sys.executable, "-m", "invoke", "up") for _ in range(2)]
    said = [started.communicate(timeout=60)[0] for started in both]
    codes = sorted(started.returncode for started in both)
    assert codes in ([0, 0], [0, 2]), said  # one after the other, or one beside the other
    if codes == [0, 2]:
        assert any("another command is making or removing the bed testbed" in text for text in said)
    assert machine.names == names_of("testbed")
    assert machine.invoke("handshake").returncode == 0
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


def test_down_with_nothing_up_says_so(machine: Machine) -> None:
    assert_refused(machine.invoke("down"), "no bed named testbed is up", "Make one with `invoke up`")
    assert_refused(machine.invoke("down", "--all"), "no bed is up", "nothing to take down")
    assert machine.invoke("status").stdout == "No bed is up. Make one with `invoke up`.\n"


def test_a_bed_of_which_a_part_was_taken_away_is_made_anew(machine: Machine) -> None:
    assert machine.invoke("up").returncode == 0
    assert machine.run("ip", "netns", "del", "testbed-web").returncode == 0
    assert "broken" in machine.invoke("status").stdout
    assert machine.invoke("up").returncode == 0
    assert machine.invoke("handshake").returncode == 0
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


@pytest.mark.parametrize("name", ["-x", "a/b", "a b", "", "x" * 33])
def test_a_name_that_is_none_is_refused(machine: Machine, name: str) -> None:
    assert_refused(machine.invoke("up", f"--name={name}"), "is no name for a bed", "letters, digits")
    assert_nothing_is_left(machine)


@pytest.mark.parametrize("moment", [0.1, 0.4, 0.6, 0.8, 1.1])
def test_an_up_that_was_killed_leaves_nothing_that_down_or_up_cannot_clear(machine: Machine, moment: float) -> None:
    """Killed that many seconds after its start: while it imports, builds, pins, or is done."""
    up = machine.start(sys.executable, "-m", "invoke", "up")
    descriptor = os.pidfd_open(up.pid)
    select.select([descriptor], [], [], moment)
    os.close(descriptor)
    up.send_signal(signal.SIGKILL)
    up.communicate()
    assert machine.invoke("up").returncode == 0
    assert machine.invoke("handshake").returncode == 0
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


@pytest.mark.parametrize("number", [1, 3, 6])
def test_an_up_that_was_killed_among_its_names_is_cleared(machine: Machine, number: int) -> None:
    """Killed as soon as that many names are there."""
    folder = Path(f"/proc/{machine.holder.pid}/root/run/netns")
    up = machine.start(sys.executable, "-m", "invoke", "up")
    while up.poll() is None and not (folder.exists() and len(list(folder.iterdir())) >= number):
        pass
    up.send_signal(signal.SIGKILL)
    up.communicate()
    assert len(machine.names) >= number
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)
