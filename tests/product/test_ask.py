"""invoke ask: whether any packet from a place reaches a port."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from own_machine import RULES, Machine, assert_nothing_is_left, assert_refused


def test_published_port_is_open_with_a_witness(machine: Machine) -> None:
    finished = machine.invoke("ask", "--from", "internet", "--to", "web:80")
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    assert lines[0] == "internet to web:80/tcp: open"
    assert "passes   by filter -A DOCKER -d 172.17.0.2/32" in lines[1]
    assert lines[2].endswith("SYN 203.0.113.10:40000 > 192.168.66.100:80, 60 bytes: delivered to web")
    assert_nothing_is_left(machine)


def test_port_that_no_packet_reaches_is_closed_by_proof(machine: Machine) -> None:
    finished = machine.invoke("ask", "--from", "direct", "--to", "web:5432", "--json")
    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout)
    assert (told["open"], told["not_judged"]) == (False, [])
    assert {region["rule"] for region in told["regions"]} >= {"filter :FORWARD DROP"}
    assert {region["witness"]["end"]["kind"] for region in told["regions"] if region["witness"]} <= {"dropped", "lost"}


def test_clause_that_is_not_read_is_named(machine: Machine, tmp_path: Path) -> None:
    rules = tmp_path / "my.rules"
    more = "-A DOCKER-USER -m string --algo bm --string GET --to 65535 -j DROP\n-A DOCKER-USER -j RETURN"
    rules.write_text(RULES.read_text().replace("-A DOCKER-USER -j RETURN", more))
    finished = machine.invoke("ask", "--from", "lan", "--to", "web:80", "--rules", str(rules))
    assert finished.returncode == 3, finished.stdout + finished.stderr
    assert "Not judged: -m string" in finished.stdout


@pytest.mark.parametrize(
    ("asked", "sentence", "remedy"),
    [
        (("--to", "web"), "--to 'web' is no service", "web:5432"),
        (("--to", "nothing:80"), "there is no node nothing", "Give one of web, host"),
        (("--from", "mars", "--to", "web:80"), "--from 'mars' is no place", "Give internet, lan"),
        ((), "needs a service", "--to web:5432"),
    ],
)
def test_question_that_is_none_is_refused(machine: Machine, asked: tuple[str, ...], sentence: str, remedy: str) -> None:
    assert_refused(machine.invoke("ask", *asked), sentence, remedy)
