"""invoke trace: a packet's way, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from own_machine import RULES, Machine, assert_nothing_is_left, assert_refused

DOCKER_HOST = Path(__file__).parents[2] / "docs" / "docker.yaml"
BACKENDS = pytest.mark.parametrize("backend", ["nft", "legacy"])


@BACKENDS
def test_the_ways_of_a_handshake_for_programs(machine: Machine, backend: str) -> None:
    finished = machine.invoke("trace", "--handshake", "--json", "--backend", backend)
    assert finished.returncode == 0, finished.stderr
    packets = json.loads(finished.stdout)["packets"]
    assert [(packet["packet"], packet["end"]["where"]) for packet in packets] == [
        ("SYN", "web"),
        ("SYN/ACK", "client"),
        ("ACK", "web"),
    ]
    syn = packets[0]
    assert syn["way"][:4] == [
        "*nat",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80",
        "destination 192.168.66.100:80 > 172.17.0.2:80",
    ]
    counted = {entry["line"]: (entry["packets"], entry["bytes"]) for entry in syn["counted"]}
    assert counted["-A FORWARD -j DOCKER-USER"] == (1, 52)
    (node,) = syn["nodes"]
    chain = node["hooks"][0]["chains"][0]["asked"][0]["into"]
    assert chain["asked"][0]["failed"] == {"clause": "-i docker0", "start": 0, "end": 10}
    assert_nothing_is_left(machine)


def test_for_people_the_way_is_an_indented_list_with_the_end_in_its_last_line(machine: Machine) -> None:
    lines = machine.invoke("trace").stdout.splitlines()
    assert lines[-1] == "→ delivered to web as 192.168.66.1:40000 > 172.17.0.2:80"
    assert "    nat PREROUTING" in lines
    assert "          ✗ 1 -i docker0 -j RETURN   -i docker0: no" in lines
    assert "    ⇒ destination 192.168.66.100:80 > 172.17.0.2:80" in lines
    assert "  forwarded by docker0" in lines


def test_a_drop_ends_with_its_rule_and_exit_code_1(machine: Machine, tmp_path: Path) -> None:
    rules = tmp_path / "my.rules"
    rules.write_text(RULES.read_text().replace("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -p tcp -j DROP"))
    finished = machine.invoke("trace", "--rules", str(rules))
    assert finished.returncode == 1
    assert finished.stdout.splitlines()[-1] == "→ dropped at host: filter -A DOCKER-USER -p tcp -j DROP"


def test_a_containers_own_address_is_closed_to_neighbours_since_28(machine: Machine) -> None:
    asked = ("trace", "--to", "web:80", "--via", "192.168.66.100", "--engine")
    assert machine.invoke(*asked, "20.10").stdout.splitlines()[-1].startswith("→ delivered to web")
    dropped = machine.invoke(*asked, "28").stdout.splitlines()[-1]
    assert dropped == "→ dropped at host: raw -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP"


@pytest.mark.parametrize(
    ("asked", "end"),
    [
        (
            ("--from", "web", "--to", "internet:443"),
            "→ delivered to internet as 192.168.66.100:40000 > 203.0.113.10:443",
        ),
        (("--from", "internet"), "→ delivered to web as 203.0.113.10:40000 > 172.17.0.2:80"),
        (("--from", "web", "--to", "internet", "--proto", "icmp", "--handshake"), "→ delivered to web"),
        (
            ("--proto", "udp", "--to", "192.168.66.100:9"),
            "→ taken in by host: answered by icmp 3/3 from 192.168.66.100",
        ),
        (("--close",), "→ delivered to client as 192.168.66.100:80 > 192.168.66.1:40000"),
        (("--engine", "29-nftables"), "→ delivered to web as 192.168.66.1:40000 > 172.17.0.2:80"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_from_any_node_in_any_protocol(machine: Machine, asked: tuple[str, ...], end: str) -> None:
    finished = machine.invoke("trace", *asked)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    ends = [line for line in finished.stdout.splitlines() if line.startswith("→")]
    assert any(line.startswith(end) for line in ends), finished.stdout


def test_what_the_host_sends_itself(machine: Machine) -> None:
    finished = machine.invoke("trace", "--from", "host", "--to", "web:80")
    assert finished.returncode == 0, finished.stderr
    assert "  OUTPUT" in finished.stdout
    assert finished.stdout.splitlines()[-1].startswith("→ delivered to web as 172.17.0.1:")


def test_a_described_host_and_a_bed_that_is_up(machine: Machine) -> None:
    assert machine.invoke("up", "--host", str(DOCKER_HOST), "--engine", "28").returncode == 0
    traced = machine.invoke("trace", "--handshake")
    assert traced.returncode == 0, traced.stdout + traced.stderr
    assert "the bed testbed" in traced.stdout.splitlines()[0]
    by_the_host = machine.invoke("trace", "--from", "host", "--to", "web:8080")
    assert by_the_host.returncode == 0, by_the_host.stdout + by_the_host.stderr
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


@pytest.mark.parametrize(
    ("asked", "sentence", "remedy"),
    [
        (("--from", "nobody"), "there is no nobody that could send", "client, gateway, internet, host, web"),
        (("--to", "nowhere:80"), "nowhere:80 is no address and no node of this bed", "ADDRESS:PORT"),
        (("--to", "web"), "web names no port", "--to web:80"),
        (("--to", "2001:db8::1"), "2001:db8::1 names no port", "--to [2001:db8::1]:80"),
        (("--to", "web:70000"), "70000 is no port", "65535"),
        (("--proto", "ipx"), "there is no protocol ipx here", "tcp, udp, icmp"),
        (("--from", "host", "--sport", "3"), "the kernel of host chooses its port", "Leave out"),
        (("--client", "beos"), "there is no client beos", "windows, linux"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_asked_is_refused(machine: Machine, asked: tuple[str, ...], sentence: str, remedy: str) -> None:
    assert_refused(machine.invoke("trace", *asked), sentence, remedy)
    assert_nothing_is_left(machine)
