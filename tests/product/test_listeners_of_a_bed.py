"""A bed with a name has the host's own listeners, held by a program, and its other surroundings."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_machine import Machine, assert_nothing_is_left, assert_refused

HOST = """
host:
  uplinks: {eth0: {addresses: 10.0.0.5/24, gateway: 10.0.0.1}}
  tunnels: {wg0: {addresses: 10.8.0.1/24}}
  listeners: [8022, 53/udp]
services:
  web: {network_mode: bridge, ports: ['80:80']}
"""
ASK = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); "
ASK += "s.sendto(b'question', ('10.8.0.1', 53)); print(s.recv(100).decode())"


@pytest.fixture
def host(tmp_path: Path) -> str:
    (tmp_path / "host.yaml").write_text(HOST)
    return str(tmp_path / "host.yaml")


def test_programs_reach_the_listeners_of_a_bed_that_stays(machine: Machine, host: str) -> None:
    up = machine.invoke("up", "--host", host)
    assert up.returncode == 0, up.stdout + up.stderr
    greeting = machine.run("ip", "netns", "exec", "testbed-client", "curl", "-s", "http://10.0.0.5:8022")
    assert greeting.stdout.startswith("host 10.0.0.5:8022 answers 10.0.0.2:"), greeting.stderr
    answer = machine.run("ip", "netns", "exec", "testbed-peer-wg0", "python3", "-c", ASK)
    assert answer.stdout == "question\n", answer.stderr
    traced = machine.invoke("trace", "--to", "host:8022")
    assert "→ taken in by host: answered by SYN/ACK from 10.0.0.5:8022" in traced.stdout
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


def test_a_port_that_is_published_and_listened_on_is_refused(machine: Machine, host: str) -> None:
    Path(host).write_text(HOST.replace("8022", "80"))
    refused = machine.invoke("up", "--host", host)
    assert_refused(refused, "port 80/tcp is published by web, and *:80/tcp is a listener", "Remove one of them")
