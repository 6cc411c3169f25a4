"""Records that are damaged, names that other users hold: every other bed goes on working, and all can be taken away."""

from __future__ import annotations

import json
import sys

import pytest
from own_machine import RULES, Machine, assert_nothing_is_left, assert_refused

FOLDER = "/run/docker-host-testbed"
HOLD = """
import fcntl, os, signal, socket, sys
os.setuid(65534)
held = socket.socket(socket.AF_UNIX)
held.bind("\\0docker-host-testbed/testbed")
for path in sys.argv[1:]:
    try:
        fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("locked", path, flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
signal.pause()
"""
WHOLE = {
    "name": "bad",
    "backend": "nft",
    "host": None,
    "rules": "*filter\nCOMMIT\n",
    "source": "x",
    "namespaces": {"host": [4, 1]},
    "companions": [],
    "complete": True,
}
DAMAGED = {
    "{}": "it lacks name",
    "": "it is not JSON",
    json.dumps(WHOLE)[:60]: "it is not JSON",
    "[" * 5000: "it is not JSON",
    "[]": "it is no object",
    json.dumps({**WHOLE, "name": "../../etc/x"}): "it is of a bed named ../../etc/x",
    json.dumps({**WHOLE, "name": 7}): "its name is 7",
    json.dumps({**WHOLE, "backend": "x"}): "there is no backend x",
    json.dumps({**WHOLE, "rules": "*filter\n\x1b[2J"}): r"\x1b[2J",
    json.dumps({**WHOLE, "host": "services: ["}): "line 1",
    json.dumps({**WHOLE, "namespaces": {"../../x": [1, 2]}}): "are not pairs of numbers",
    json.dumps({**WHOLE, "namespaces": [1]}): "are not pairs of numbers",
    json.dumps({**WHOLE, "companions": [["1", 2]]}): "are not pairs of numbers",
    json.dumps({**WHOLE, "companions": 7}): "no len",
    json.dumps({**WHOLE, "complete": "yes"}): 'its complete is "yes"',
}


def damage(machine: Machine, text: str, name: str = "bad") -> None:
    writing = f'mkdir -p {FOLDER}; printf %s "$1" > {FOLDER}/{name}.json'
    assert machine.run("sh", "-c", writing, "sh", text).returncode == 0


def test_a_damaged_record_is_named_and_taken_away_and_other_beds_go_on(machine: Machine) -> None:
    assert machine.invoke("up", "--name", "good").returncode == 0
    for text, why in DAMAGED.items():
        damage(machine, text)
        status = machine.invoke("status")
        assert status.returncode == 0, (text, status.stderr)
        assert f"the record {FOLDER}/bad.json is damaged: " in status.stdout
        assert why in status.stdout, text
        assert "invoke down --name bad" in status.stdout
        assert "good" in status.stdout
        down = machine.invoke("down", "--name", "bad")
        assert (down.returncode, down.stdout) == (0, "The bed bad is gone.\n"), (text, down.stderr)
        assert machine.records == ["good.json"]
    assert machine.invoke("down", "--name", "good").returncode == 0
    assert_nothing_is_left(machine)


def test_a_damaged_record_is_not_taken_for_a_bed(machine: Machine) -> None:
    damage(machine, "{}")
    damage(machine, "{}", "testbed")
    for command in (("up", "--name", "bad"), ("handshake", "--name", "bad"), ("trace",)):
        name = "bad" if "bad" in command else "testbed"
        refused = machine.invoke(*command)
        assert_refused(refused, f"{name}.json is damaged: it lacks name.", f"`invoke down --name {name}`")
    facts = json.loads(machine.invoke("status", "--json").stdout)
    assert [(one["name"], one["up"], one["damaged"]) for one in facts] == [
        ("bad", False, "it lacks name"),
        ("testbed", False, "it lacks name"),
    ]
    assert machine.invoke("down", "--all").returncode == 0
    assert_nothing_is_left(machine)


def test_what_a_damaged_record_still_says_is_taken_away(machine: Machine) -> None:
    assert machine.invoke("up", "--name", "bad").returncode == 0
    facts = json.loads(machine.run("cat", f"{FOLDER}/bad.json").stdout)
    damage(machine, json.dumps({**facts, "rules": 7}))
    down = machine.invoke("down", "--name", "bad")
    assert (down.returncode, down.stdout) == (0, "The bed bad is gone.\n")
    assert_nothing_is_left(machine)


def test_namespaces_that_no_record_says_are_ours_are_named_and_stay(machine: Machine) -> None:
    assert machine.run("ip", "netns", "add", "bad-host").returncode == 0
    damage(machine, "{}")
    down = machine.invoke("down", "--name", "bad")
    assert "whose the namespaces bad-host are: they stay" in down.stdout
    assert machine.names == ["bad-host"]
    assert machine.run("ip", "netns", "del", "bad-host").returncode == 0
    assert_nothing_is_left(machine)


def test_another_user_cannot_block_a_name(machine: Machine) -> None:
    assert machine.run("sh", "-c", f"mkdir -m 700 {FOLDER}.locks; touch {FOLDER}.locks/testbed").returncode == 0
    holder = machine.start(sys.executable, "-c", HOLD, f"{FOLDER}.locks/testbed", f"{FOLDER}.locks")
    assert holder.stdout is not None
    said = [holder.stdout.readline(), holder.stdout.readline()]
    try:
        assert said == ["Permission denied\n"] * 2
        up = machine.invoke("up")
        assert up.returncode == 0, up.stderr
        assert machine.invoke("down").returncode == 0
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("make", ["mkdir -m 755", "ln -s /tmp", "touch", "mkdir -m 700 X; chown 65534"])
def test_a_folder_of_locks_that_others_can_enter_is_refused(machine: Machine, make: str) -> None:
    made = f"mkdir -m 700 {FOLDER}.locks && chown 65534" if "chown" in make else make
    assert machine.run("sh", "-c", f"{made} {FOLDER}.locks").returncode == 0
    refused = machine.invoke("up", "--rules", str(RULES))
    assert_refused(refused, "is no folder that root alone can enter", f"rm -r {FOLDER}.locks")
    assert machine.run("rm", "-r", f"{FOLDER}.locks").returncode == 0
    assert_nothing_is_left(machine)
