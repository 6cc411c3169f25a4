"""Any address and any network can ask: trace, handshake and behaviours with --from."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_machine import Machine, assert_refused

HOST = """
host:
  uplinks: {eth0: {addresses: 203.0.113.5/24, gateway: 203.0.113.1}}
  listeners: [22]
networks: {shop: {driver_opts: {com.docker.network.bridge.name: br-shop}}}
services:
  web: {networks: [shop], ports: ['80:80']}
"""


@pytest.fixture
def host(tmp_path: Path) -> str:
    (tmp_path / "host.yaml").write_text(HOST)
    return str(tmp_path / "host.yaml")


@pytest.mark.parametrize("sender", ["100.64.0.5", "internet", "br-shop", "203.0.113.77"])
def test_a_sender_reaches_a_published_port_from_where_it_is(machine: Machine, host: str, sender: str) -> None:
    to = "host:22" if sender == "br-shop" else "host:80"
    finished = machine.invoke("trace", "--host", host, "--from", sender, "--to", to)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    end = "→ taken in by host: answered by SYN/ACK" if sender == "br-shop" else "→ delivered to web"
    assert any(line.startswith(end) for line in finished.stdout.splitlines()), finished.stdout


def test_a_handshake_and_behaviours_of_an_address(machine: Machine, host: str) -> None:
    shaken = machine.invoke("handshake", "--host", host, "--from", "100.64.0.5")
    assert shaken.returncode == 0, shaken.stdout + shaken.stderr
    asked = machine.invoke("behaviours", "--host", host, "--from", "100.64.0.5")
    rows = [line for line in asked.stdout.splitlines() if line and not line.startswith("#")]
    assert rows, asked.stderr
    assert all(row.startswith("at-100.64.0.5 ") for row in rows)


def test_an_address_that_cannot_send_is_refused(machine: Machine, host: str) -> None:
    refused = machine.invoke("trace", "--host", host, "--from", "224.0.0.1")
    assert_refused(refused, "no packet can come from 224.0.0.1", "one machine")
