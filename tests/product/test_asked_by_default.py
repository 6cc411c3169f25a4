"""What trace and handshake ask without --to, which bed they ask, and who answers there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from own_machine import Machine, assert_nothing_is_left, assert_refused

JOURNEYS = Path(__file__).parents[1] / "data" / "journeys"
ELSEWHERE = "-A PREROUTING -p tcp -m tcp --dport 6200 -j DNAT --to-destination 172.17.0.3:6200"
WITH_IPV6 = """
services: {web: {ports: ['8080:80'], networks: [six]}}
networks:
  six: {enable_ipv6: true, ipam: {config: [{subnet: 172.20.0.0/16}, {subnet: 'fd00:20::/64'}]}}
"""
LOOPBACK = "services: {web: {network_mode: bridge, ports: ['127.0.0.1:8080:80', '80:80']}}\n"


def written(folder: Path, text: str, name: str = "my.rules") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def elsewhere(folder: Path) -> str:
    """Rules that publish port 6200 of a container that the article's host does not have."""
    text = (JOURNEYS / "docker.rules").read_text()
    lines = [ELSEWHERE if "-j DNAT" in line else line for line in text.splitlines()]
    return written(folder, "\n".join(lines).replace("-d 172.17.0.2/32", "-d 172.17.0.3/32").replace(" 80 ", " 6200 "))


@pytest.mark.parametrize("task", ["trace", "handshake"])
def test_without_to_a_port_that_the_rules_publish_is_asked(machine: Machine, tmp_path: Path, task: str) -> None:
    rules = elsewhere(tmp_path)
    finished = machine.invoke(task, "--rules", rules)
    assert "192.168.66.100:6200" in finished.stdout, finished.stderr
    assert "192.168.66.100:80 " not in finished.stdout
    assert "container-172-17-0-3 is made on docker0: rules translate to 172.17.0.3." in finished.stdout
    assert "lost" not in finished.stdout
    assert finished.returncode == 0


@pytest.mark.parametrize("task", ["trace", "handshake", "behaviours"])
def test_of_a_host_that_is_given_a_container_may_be_missing(machine: Machine, tmp_path: Path, task: str) -> None:
    host = written(tmp_path, "services: {web: {network_mode: bridge, ports: ['6200:80']}}\n", "docker.yaml")
    finished = machine.invoke(task, "--host", host, "--rules", elsewhere(tmp_path))
    assert "let through" in finished.stdout, finished.stderr
    assert "no container with 172.17.0.3 in this bed (give --host)" in finished.stdout
    assert finished.returncode == 3


@pytest.mark.parametrize("task", ["trace", "handshake"])
def test_rules_that_publish_no_port_are_said_to(machine: Machine, tmp_path: Path, task: str) -> None:
    rules = written(tmp_path, "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n")
    assert_refused(machine.invoke(task, "--rules", rules), "no TCP port is published by", "--to ADDRESS:PORT")
    assert_nothing_is_left(machine)


def test_a_handshake_with_any_place_from_any_end(machine: Machine) -> None:
    finished = machine.invoke("handshake", "--from", "web", "--to", "internet:443", "--json")
    assert finished.returncode == 0, finished.stderr
    steps = json.loads(finished.stdout)["steps"]
    assert [step["packet"] for step in steps] == ["SYN", "SYN/ACK", "ACK"]
    assert steps[0]["arrived"] == {"from": "192.168.66.100:40000", "to": "203.0.113.10:443"}
    refused = machine.invoke("handshake", "--to", "host:9")
    assert refused.returncode == 1
    assert "answered by RST/ACK from 192.168.66.100:9" in refused.stdout


def test_a_host_with_ipv6_is_asked_in_both_families(machine: Machine, tmp_path: Path) -> None:
    host = written(tmp_path, WITH_IPV6, "docker.yaml")
    traced = machine.invoke("trace", "--host", host, "--json")
    assert traced.returncode == 0, traced.stdout + traced.stderr
    packets = json.loads(traced.stdout)["packets"]
    assert [packet["sent"]["to"] for packet in packets] == ["192.168.66.100:8080", "[2001:db8:66::100]:8080"]
    shaken = machine.invoke("handshake", "--host", host, "--json")
    sent = [step["sent"]["to"] for step in json.loads(shaken.stdout)["steps"] if step["packet"] == "SYN"]
    assert sent == ["192.168.66.100:8080", "[2001:db8:66::100]:8080"]


@pytest.mark.parametrize("task", ["trace", "handshake"])
def test_the_name_of_a_bed_that_is_not_up_is_refused(machine: Machine, task: str) -> None:
    assert_refused(machine.invoke(task, "--name", "lab"), "no bed named lab is up", "invoke up")
    assert machine.invoke("up", "--name", "other").returncode == 0
    assert_refused(machine.invoke(task, "--name", "lab"), "no bed named lab is up", "These are up: other.")
    mixed = machine.invoke(task, "--name", "other", "--engine", "28")
    assert_refused(mixed, "the bed other has a host and rules of its own", "Leave out")
    assert machine.invoke(task, "--name", "other").returncode == 0
    assert machine.invoke("down", "--name", "other").returncode == 0


def test_after_an_up_that_failed_the_name_answers_about_no_other_host(machine: Machine, tmp_path: Path) -> None:
    wrong = written(tmp_path, "services: {web: {network_mode: bridge, ports: ['70000:80']}}\n", "docker.yaml")
    assert machine.invoke("up", "--name", "lab", "--host", wrong).returncode == 2
    assert_refused(machine.invoke("trace", "--name", "lab"), "no bed named lab is up", "invoke up")


@pytest.mark.parametrize(
    ("asked", "ended"),
    [
        (("--from", "host", "--to", "127.0.0.1:8080"), "→ taken in by host"),
        (("--from", "web", "--to", "192.168.66.100:80"), "answered by SYN/ACK from 192.168.66.100:80"),
    ],
    ids=["loopback", "hairpin"],
)
def test_an_own_bed_answers_where_the_userland_proxy_would(
    machine: Machine, tmp_path: Path, asked: tuple[str, ...], ended: str
) -> None:
    host = written(tmp_path, LOOPBACK, "docker.yaml")
    own = machine.invoke("trace", *asked, "--host", host)
    assert machine.invoke("up", "--host", host).returncode == 0
    standing = machine.invoke("trace", *asked)
    last = [answer.stdout.splitlines()[-1] for answer in (own, standing)]
    assert [ended in line for line in last] == [True, True], last
    assert own.returncode == standing.returncode == 0
    assert machine.invoke("down").returncode == 0
