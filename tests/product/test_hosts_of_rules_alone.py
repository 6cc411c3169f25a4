"""One packet through rules that are given alone: the host has what they name, and what it was given is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_machine import Machine

SAVED = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
-A FORWARD -i eth0 -p tcp -m conntrack --ctorigdst 198.51.100.2 --ctorigdstport 80 -j {}
-A FORWARD -i docker0 -o eth0 -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 198.51.100.2/32 ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
COMMIT
"""
NATIVE = """table ip nat {
\tchain prerouting {
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t\tiif "eno2" tcp dport 80 dnat to 172.17.0.2:80
\t}
}
table inet filter {
\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\tiif "lo" accept
\t}
\tchain forward {
\t\ttype filter hook forward priority filter; policy drop;
\t\tiif "eno2" oif "docker0" ip daddr 172.17.0.2 tcp dport 80 accept
\t}
}
"""
SIX = """*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 8000 -j DNAT --to-destination [fd01::2]:80
COMMIT
"""


def written(folder: Path, text: str) -> str:
    (folder / "a.rules").write_text(text)
    return str(folder / "a.rules")


@pytest.mark.parametrize(
    ("target", "code", "end"),
    [
        ("ACCEPT", 0, "→ delivered to web as 192.168.66.1:40000 > 172.17.0.2:80"),
        ("DROP", 1, "→ dropped at host: filter -A FORWARD -i eth0 -p tcp -m conntrack --ctorigdst 198.51.100.2"),
    ],
)
def test_the_address_and_the_interface_that_rules_name_are_asked(
    machine: Machine, tmp_path: Path, target: str, code: int, end: str
) -> None:
    finished = machine.invoke("trace", "--rules", written(tmp_path, SAVED.format(target)))
    assert finished.returncode == code, finished.stdout + finished.stderr
    assert "192.168.66.1:40000 > 198.51.100.2:80" in finished.stdout
    assert any(line.startswith(end) for line in finished.stdout.splitlines())
    said = [
        "eth0 is the host's uplink to client and internet, as rules name it.",
        "The host has the address 198.51.100.2, at which rules publish ports or let packets in.",
    ]
    assert finished.stdout.splitlines()[:2] == said
    assert machine.invoke("handshake", "--rules", written(tmp_path, SAVED.format(target))).returncode == code


def test_an_interface_that_native_rules_name_is_the_external_one_also_of_a_bed_that_stays(
    machine: Machine, tmp_path: Path
) -> None:
    rules = written(tmp_path, NATIVE)
    own = machine.invoke("trace", "--rules", rules, "--to", ":80")
    assert own.returncode == 0, own.stdout + own.stderr
    assert machine.invoke("up", "--name", "lab", "--rules", rules).returncode == 0
    standing = machine.invoke("trace", "--name", "lab", "--to", ":80")
    assert ["→ delivered to web as " in answer.stdout for answer in (own, standing)] == [True, True]
    assert "in by eno2" in standing.stdout
    assert machine.invoke("down", "--name", "lab").returncode == 0


def test_a_container_is_made_for_an_ipv6_address_that_rules_translate_to(machine: Machine, tmp_path: Path) -> None:
    finished = machine.invoke("trace", "--rules", written(tmp_path, SIX))
    assert "→ delivered to container-fd01--2 as " in finished.stdout, finished.stderr
    assert "lost" not in finished.stdout
    assert finished.returncode == 0
