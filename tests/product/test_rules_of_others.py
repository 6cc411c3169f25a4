"""Rules of other programs, and dumps with ipsets and interfaces of another host, as a person gives them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from own_machine import REPOSITORY, RULES, Machine, assert_nothing_is_left, assert_refused

FOREIGN = REPOSITORY / "tests" / "data" / "foreign"
SETS = "create bad hash:net family inet\nadd bad 192.168.66.0/30\n"
OF_ANOTHER_HOST = (
    "-A DOCKER-USER -i eth0 -p tcp -m tcp --dport 9999 -m set --match-set bad src -j ACCEPT\n"
    "-A DOCKER-USER -m set --match-set bad src -j DROP\n"
    "-A DOCKER-USER -i virbr0 -s 192.168.122.0/24 -j ACCEPT\n"
)
SAID = [
    "eth0 is the host's uplink to client and internet, as rules name it.",
    "virbr0 is made as a bridge with 192.168.122.1/24, guest-virbr0 at 192.168.122.2 behind it, as rules name it.",
]


@pytest.fixture
def dumps(tmp_path: Path) -> tuple[str, str]:
    """A rule set with rules for another host's interfaces, and its ipsets."""
    rules, sets = tmp_path / "a.rules", tmp_path / "b.ipset"
    user = "-A DOCKER-USER -j RETURN\n"
    rules.write_text(RULES.read_text().replace(user, OF_ANOTHER_HOST + user))
    sets.write_text(SETS)
    return str(rules), str(sets)


@pytest.mark.parametrize("name", ["ufw-docker-28.5.rules"])
def test_diff_names_what_ufw_closes_and_not_the_published_port(machine: Machine, name: str) -> None:
    finished = machine.invoke("diff", "article", str(FOREIGN / name), "--json")
    assert finished.returncode == 1, finished.stderr
    changes = [change for change in json.loads(finished.stdout)["changes"] if change["kind"] == "newly closed"]
    closed = [change for change in changes if change["new"]["by"] == ["filter :INPUT DROP"]]
    assert {change["new"]["outcome"] for change in closed} == {"is dropped"}
    assert any("from ens33" in change["probe"] for change in closed)
    published = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"
    assert f"filter {published}" not in {
        by for change in closed for by in change["old"]["by"]
    }  # as open as without ufw
    assert_nothing_is_left(machine)


def test_a_set_closes_what_it_holds_and_what_was_built_comes_first(machine: Machine, dumps: tuple[str, str]) -> None:
    finished = machine.invoke("trace", "--rules", ",".join(dumps))
    assert finished.returncode == 1, finished.stderr
    lines = finished.stdout.splitlines()
    end = "→ dropped at host: filter -A DOCKER-USER -m set --match-set bad src -j DROP"
    assert lines[: len(SAID)] == SAID
    assert lines[-1] == end


def test_behaviours_and_differences_of_several_dumps(machine: Machine, dumps: tuple[str, str]) -> None:
    finished = machine.invoke("behaviours", "--rules", ",".join(dumps))
    assert finished.returncode == 3, finished.stderr  # the set's members are named as not asked
    assert [f"# {one}" for one in SAID] == finished.stdout.splitlines()[1:3]
    assert "--match-set bad src" in finished.stdout.splitlines()[3]
    assert machine.invoke("diff", ",".join(dumps), ",".join(dumps)).returncode == 0


def test_a_bed_that_stays_has_the_bridges_and_the_sets(machine: Machine, dumps: tuple[str, str]) -> None:
    up = machine.invoke("up", "--rules", ",".join(dumps))
    assert up.returncode == 0, up.stderr
    assert [line for line in up.stdout.splitlines() if line in SAID] == SAID
    assert "192.168.122.1/24" in machine.run("ip", "-n", "testbed-host", "address", "show", "virbr0").stdout
    assert machine.invoke("trace", "--json").returncode == 1  # by the client again
    assert "was up already" in machine.invoke("up", "--rules", ",".join(dumps)).stdout
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


def test_rules_without_their_sets_are_refused_by_name(machine: Machine, dumps: tuple[str, str]) -> None:
    for task in (("trace", "--rules", dumps[0]), ("diff", "article", dumps[0])):
        assert_refused(machine.invoke(*task), "rules need the ipset bad, which no dump brings", "ipset save")
    assert_nothing_is_left(machine)


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_a_chain_that_no_dump_brings_is_named_with_its_line(machine: Machine, tmp_path: Path, backend: str) -> None:
    rules = tmp_path / "my.rules"
    rules.write_text(RULES.read_text().replace("-A FORWARD -j DOCKER-USER", "-A FORWARD -j f2b-sshd"))
    finished = machine.invoke("up", "--rules", str(rules), "--backend", backend)
    assert_refused(finished, "line 11: '-A FORWARD -j f2b-sshd' cannot be loaded: f2b-sshd is neither", "whole dump")
    assert_nothing_is_left(machine)
