"""invoke handshake: the article's table, packet by packet, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from own_machine import RULES, Machine, assert_nothing_is_left, assert_refused

# The 18 rules in iptables-save's order; what each has counted after SYN, SYN/ACK and ACK (the article's table).
AFTER_EACH_PACKET = [
    ("-A FORWARD -j DOCKER-USER", "1/52 2/104 3/144"),
    ("-A FORWARD -j DOCKER-ISOLATION-STAGE-1", "1/52 2/104 3/144"),
    ("-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "0/0 0/0 1/40"),
    ("-A FORWARD -o docker0 -j DOCKER", "1/52 1/52 1/52"),
    ("-A FORWARD -i docker0 ! -o docker0 -j ACCEPT", "0/0 1/52 1/52"),
    ("-A FORWARD -i docker0 -o docker0 -j ACCEPT", "0/0 0/0 0/0"),
    ("-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT", "1/52 1/52 1/52"),
    ("-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2", "0/0 1/52 1/52"),
    ("-A DOCKER-ISOLATION-STAGE-1 -j RETURN", "1/52 2/104 3/144"),
    ("-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP", "0/0 0/0 0/0"),
    ("-A DOCKER-ISOLATION-STAGE-2 -j RETURN", "0/0 1/52 1/52"),
    ("-A DOCKER-USER -j RETURN", "1/52 2/104 3/144"),
    ("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER", "1/52 1/52 1/52"),
    ("-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER", "0/0 0/0 0/0"),
    ("-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", "0/0 0/0 0/0"),
    ("-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE", "0/0 0/0 0/0"),
    ("-A DOCKER -i docker0 -j RETURN", "0/0 0/0 0/0"),
    ("-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80", "1/52 1/52 1/52"),
]
# The article's byte column: one connection, opened and closed.
WHOLE_CONNECTION = {
    "-A FORWARD -j DOCKER-USER": "7/304",
    "-A FORWARD -j DOCKER-ISOLATION-STAGE-1": "7/304",
    "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT": "3/120",
    "-A FORWARD -o docker0 -j DOCKER": "1/52",
    "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT": "3/132",
}
BACKENDS = pytest.mark.parametrize("backend", ["nft", "legacy"])


def counted(step: dict[str, Any]) -> dict[str, str]:
    """Packets and bytes of each rule of a step; the nat and filter chains named DOCKER have no rule in common."""
    found = {rule["line"]: f"{rule['packets']}/{rule['bytes']}" for rule in step["rules"]}
    assert len(found) == len(step["rules"]) == 18
    return found


@BACKENDS
def test_every_rule_has_the_numbers_of_the_article_after_each_packet(machine: Machine, backend: str) -> None:
    answer = json.loads(machine.invoke("handshake", "--json", "--backend", backend).stdout)
    assert (answer["backend"], answer["bed"], answer["client"]) == (backend, "a bed of its own", "windows")
    assert [(step["packet"], step["bytes"]) for step in answer["steps"]] == [("SYN", 52), ("SYN/ACK", 52), ("ACK", 40)]
    for number, step in enumerate(answer["steps"]):
        assert list(counted(step).items()) == [(rule, after.split()[number]) for rule, after in AFTER_EACH_PACKET]
    assert answer["steps"][0]["sent"]["to"] == "192.168.66.100:80"
    assert answer["steps"][0]["arrived"]["to"] == "172.17.0.2:80"
    assert_nothing_is_left(machine)


@BACKENDS
def test_closed_the_connection_gives_the_byte_column_of_the_article(machine: Machine, backend: str) -> None:
    answer = json.loads(machine.invoke("handshake", "--close", "--json", "--backend", backend).stdout)
    assert [step["bytes"] for step in answer["steps"]] == [52, 52, 40, 40, 40, 40, 40]
    at_the_end = counted(answer["steps"][-1])
    assert {rule: at_the_end[rule] for rule in WHOLE_CONNECTION} == WHOLE_CONNECTION


def test_a_linux_client_sends_a_syn_of_60_bytes(machine: Machine) -> None:
    answer = json.loads(machine.invoke("handshake", "--client", "linux", "--json").stdout)
    assert [step["bytes"] for step in answer["steps"]] == [60, 60, 52]
    assert counted(answer["steps"][-1])["-A FORWARD -j DOCKER-USER"] == "3/172"


def test_a_named_bed_gives_the_same_numbers_time_after_time(machine: Machine) -> None:
    assert machine.invoke("up").returncode == 0
    for _ in range(3):
        answer = json.loads(machine.invoke("handshake", "--json").stdout)
        assert answer["bed"] == "the bed testbed"
        assert list(counted(answer["steps"][-1]).items()) == [(rule, n.split()[2]) for rule, n in AFTER_EACH_PACKET]
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


def test_for_people_it_prints_the_same_table(machine: Machine) -> None:
    printed = machine.invoke("handshake").stdout
    for rule, after in AFTER_EACH_PACKET:
        (row,) = [line for line in printed.splitlines() if f"│ {rule} " in line]
        cells = [cell.strip() for cell in row.strip("│").split("│")][-3:]
        assert cells == [cell if cell != "0/0" else "0" for cell in after.split()]


def test_a_packet_that_is_dropped_is_named_with_the_rule_that_counted_it(machine: Machine, tmp_path: Path) -> None:
    rules = tmp_path / "my.rules"
    rules.write_text(RULES.read_text().replace("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -p tcp -j DROP"))
    finished = machine.invoke("handshake", "--rules", str(rules))
    assert finished.returncode == 1
    assert "The SYN was lost." in finished.stdout
    (row,) = [line for line in finished.stdout.splitlines() if "-A DOCKER-USER -p tcp -j DROP" in line]
    assert row.rstrip("│ ").endswith("1/52")
    steps = json.loads(machine.invoke("handshake", "--rules", str(rules), "--json").stdout)["steps"]
    assert [(step["packet"], step["arrived"]) for step in steps] == [("SYN", None)]


def test_a_client_that_is_not_known_is_refused(machine: Machine) -> None:
    assert_refused(machine.invoke("handshake", "--client", "beos"), "there is no client beos", "windows, linux")


def test_rules_without_a_counter_are_said_to_have_none(machine: Machine, tmp_path: Path) -> None:
    rules = tmp_path / "my.nft"
    chain = "type filter hook forward priority 0; policy accept; tcp dport 80 accept;"
    rules.write_text(f"table ip filter {{\n chain FORWARD {{\n  {chain}\n }}\n}}\n".replace("; ", ";\n  "))
    printed = machine.invoke("handshake", "--rules", str(rules), "--to", "web:80").stdout
    assert "No rule has a counter: nftables counts where a rule says `counter`." in printed
    assert "What the rules had counted" not in printed
    rules.write_text(rules.read_text().replace("dport 80 accept", "dport 80 counter accept"))
    printed = machine.invoke("handshake", "--rules", str(rules), "--to", "web:80").stdout
    assert "No rule has a counter" not in printed
    assert "What the rules had" in printed
