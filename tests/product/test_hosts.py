"""Hosts from a file, with the rules of any engine: invoke up, status and handshake on them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from own_machine import REPOSITORY, Machine, assert_nothing_is_left, assert_refused

from testbed.docker import hostfile
from testbed.docker.engines import engine as engine_of

EXAMPLE = str(REPOSITORY / "docs" / "docker.yaml")


def test_the_example_of_the_docs_stands_up_and_its_containers_answer(machine: Machine) -> None:
    up = machine.invoke("up", "--host", EXAMPLE)
    assert up.returncode == 0, up.stderr
    for shown in ("web  eth0 172.18.0.2/16", "db  eth0 172.19.0.2/16", "the rules of engine 28.2.2 for docker.yaml"):
        assert shown in up.stdout
    for where, url, answer in (
        ("client", "http://192.168.66.100", "web 172.18.0.2:8080 answers 192.168.66.1:"),
        ("client", "http://192.168.66.100:2525", "mail 172.17.0.2:25 answers 192.168.66.1:"),
        ("web", "http://203.0.113.10", "internet 203.0.113.10:80 answers 192.168.66.100:"),
    ):
        asked = machine.run("ip", "netns", "exec", f"testbed-{where}", "curl", "--silent", "--max-time", "5", url)
        assert asked.stdout.startswith(answer), asked
    shaken = json.loads(machine.invoke("handshake", "--json").stdout)
    assert [step["arrived"] is not None for step in shaken["steps"]] == [True] * 3
    assert shaken["steps"][0]["arrived"]["to"] == "172.18.0.2:8080"
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_engines_differ_in_status_and_in_what_a_handshake_counts(machine: Machine, backend: str) -> None:
    counted = {}
    for engine in ("20.10", "28"):
        name = f"e{engine.replace('.', '-')}"
        words = ("--name", name, "--host", EXAMPLE, "--engine", engine, "--backend", backend)
        assert machine.invoke("up", *words).returncode == 0
        steps = json.loads(machine.invoke("handshake", "--name", name, "--json").stdout)["steps"]
        counted[engine] = {rule["line"] for rule in steps[-1]["rules"] if rule["packets"]}
    status = {bed["name"]: bed for bed in json.loads(machine.invoke("status", "--json").stdout)}
    assert status["e20-10"]["rules"] == "the rules of engine 20.10 for docker.yaml"
    assert status["e28"]["rules"] == "the rules of engine 28.2.2 for docker.yaml"
    differing = {key for key, value in status["e28"].items() if status["e20-10"][key] != value}
    assert differing == {"name", "namespaces", "rules", "listing"}
    host = hostfile.read(EXAMPLE)
    for name, version in (("e20-10", "20.10"), ("e28", "28")):
        assert status[name]["listing"] == engine_of(version).rules(host).listing
    assert "-A FORWARD -j DOCKER-USER" in counted["20.10"] & counted["28"]
    assert "-A DOCKER-FORWARD -j DOCKER-CT" in counted["28"] - counted["20.10"]
    assert "-A FORWARD -j DOCKER-ISOLATION-STAGE-1" in counted["20.10"] - counted["28"]
    assert machine.invoke("down", "--all").returncode == 0
    assert_nothing_is_left(machine)


def test_rules_of_nftables_make_a_bed_and_can_be_given_back_as_a_file(machine: Machine, tmp_path: Path) -> None:
    assert machine.invoke("up", "--host", EXAMPLE, "--engine", "29-nftables").returncode == 0
    (bed,) = json.loads(machine.invoke("status", "--json").stdout)
    assert (bed["backend"], bed["rules"]) == ("nftables", "the rules of engine 29-nftables for docker.yaml")
    shaken = json.loads(machine.invoke("handshake", "--json").stdout)
    assert (shaken["bed"], shaken["backend"]) == ("the bed testbed", "nftables")
    (tmp_path / "mine").write_text(machine.run("ip", "netns", "exec", "testbed-host", "nft", "list", "ruleset").stdout)
    assert machine.invoke("down").returncode == 0
    again = json.loads(
        machine.invoke("handshake", "--host", EXAMPLE, "--rules", str(tmp_path / "mine"), "--json").stdout
    )
    assert again["backend"] == "nftables"
    assert [step["rules"] for step in again["steps"]] == [step["rules"] for step in shaken["steps"]]
    assert_nothing_is_left(machine)


SIX = """
networks: {six: {enable_ipv6: true, ipam: {config: [{subnet: '2001:db8:1::/64'}]}}}
services: {web: {networks: [six], ports: ['80:80']}, app: {networks: [six, bridge]}}
"""


@pytest.mark.parametrize(
    ("engine", "seen", "over_ipv6"),
    [
        ("20.10", "2001:db8:1::1", [False]),  # the proxy of the host takes the SYN
        ("28", "2001:db8:66::1", [True] * 3),
        ("29-nftables", "2001:db8:66::1", [True] * 3),
    ],
)
def test_a_bed_with_ipv6_and_a_container_on_two_networks_answers(
    machine: Machine, tmp_path: Path, engine: str, seen: str, over_ipv6: list[bool]
) -> None:
    """In IPv6 too: before 27 by the userland proxy, which is all that there is, so that it is seen asking."""
    (tmp_path / "docker.yaml").write_text(SIX)
    assert machine.invoke("up", "--host", str(tmp_path / "docker.yaml"), "--engine", engine).returncode == 0
    enter = ("ip", "netns", "exec")
    for where, url, answer in (
        ("client", "http://192.168.66.100", "web 172.18.0.2:80 answers 192.168.66.1:"),
        ("client", "http://[2001:db8:66::100]", f"web [2001:db8:1::2]:80 answers [{seen}]:"),
        ("app", "http://203.0.113.10", "internet 203.0.113.10:80 answers 192.168.66.100:"),
    ):
        asked = machine.run(*enter, f"testbed-{where}", "curl", "--silent", "--globoff", "--max-time", "5", url)
        assert asked.stdout.startswith(answer), asked
    shaken = json.loads(machine.invoke("handshake", "--json").stdout)
    assert [step["arrived"] is not None for step in shaken["steps"]] == [*[True] * 3, *over_ipv6]
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


def test_without_a_bed_a_handshake_makes_the_host_for_itself(machine: Machine) -> None:
    shaken = json.loads(machine.invoke("handshake", "--engine", "29", "--json").stdout)
    assert shaken["bed"] == "a bed of its own"
    assert {rule["line"] for rule in shaken["steps"][-1]["rules"]} > {"-A DOCKER-FORWARD -j DOCKER-INTERNAL"}
    assert_nothing_is_left(machine)


def test_the_name_of_a_bed_with_another_host_is_refused(machine: Machine) -> None:
    assert machine.invoke("up").returncode == 0
    assert_refused(machine.invoke("up", "--host", EXAMPLE), "the bed testbed is up already", "invoke down")
    assert machine.invoke("down").returncode == 0


def test_an_address_that_only_a_published_port_names_is_the_hosts_and_said(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "docker.yaml").write_text("services: {web: {network_mode: bridge, ports: ['10.0.0.1:80:80']}}\n")
    shaken = machine.invoke("handshake", "--host", str(tmp_path / "docker.yaml"))
    assert shaken.returncode == 0, shaken.stderr
    assert shaken.stdout.startswith("The host has the address 10.0.0.1, at which rules publish ports")
    assert "192.168.66.1:40000 > 10.0.0.1:80" in shaken.stdout


@pytest.mark.parametrize("task", ["up", "handshake"])
def test_what_cannot_be_is_said_with_its_line(machine: Machine, tmp_path: Path, task: str) -> None:
    for text, said, remedy in (
        (
            "services:\n  a1: {ports: ['80:80']}\n  b1: {ports: ['80:81']}\n",
            "line 3: port 80/tcp is published by a1",
            "",
        ),
        ("services:\n  web:\n    prts: []\n", "line 3: the key prts is not known here", "Known are ports"),
        (
            "networks: {a: {ipam: {config: [{subnet: 192.168.66.0/25}]}}}\nservices: {web: {networks: [a]}}\n",
            "line 1: the subnet 192.168.66.0/25 overlaps that of the LAN at ens33",
            "Choose another subnet",
        ),
    ):
        (tmp_path / "docker.yaml").write_text(text)
        assert_refused(machine.invoke(task, "--host", str(tmp_path / "docker.yaml")), said, remedy)
    assert_refused(machine.invoke(task, "--host", "no.yaml"), "no.yaml cannot be read", "")
    assert_refused(machine.invoke(task, "--engine", "1.13"), "engine 1.13 is older than what is known", "begin with")
    assert_nothing_is_left(machine)


def test_a_host_that_publishes_nothing_has_no_handshake(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "docker.yaml").write_text("services: {web: {network_mode: bridge}}\n")
    finished = machine.invoke("handshake", "--host", str(tmp_path / "docker.yaml"))
    assert_refused(finished, "no TCP port is published by the rules of engine 28.2.2", "--to ADDRESS:PORT")


def test_an_empty_file_is_a_host_without_containers_and_not_the_articles(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "docker.yaml").write_text("")
    assert machine.invoke("up", "--host", str(tmp_path / "docker.yaml")).returncode == 0
    assert "testbed-web" not in machine.names
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)
