"""Counters read in process, held against what iptables itself prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import LINUX, Counters, Testbed
from testbed.pytest_plugin import MakeBed
from testbed.rules import save
from testbed.traffic.layers import IP, UDP

PUBLISHED = ("192.168.66.100", 80)
CAPTURES = Path(__file__).parent.parent / "data" / "captures"


def printed(bed: Testbed) -> dict[tuple[str, str], Counters | None]:
    """What `iptables-save -c` prints, by table and line."""
    text = bed.host.command([f"{bed.backend.program}-save", "-c"]).stdout
    found: dict[tuple[str, str], Counters | None] = {}
    for table in save.parse(text).tables:
        for chain in table.chains:
            if chain.policy is not None:
                found[table.name, f":{chain.name} {chain.policy}"] = chain.counters
        for rule in table.rules:
            found[table.name, rule.text] = rule.counters
    return found


def read(bed: Testbed) -> dict[tuple[str, str], Counters]:
    return {(line.table, line.text): counters for line, counters in bed.counters()}


@pytest.mark.parametrize("engine", ["20.10", "26.1", "28.5"])
def test_they_equal_what_iptables_save_prints(make_bed: MakeBed, engine: str) -> None:
    bed = make_bed(rules=save.read(CAPTURES / engine / "web80" / "iptables-save.txt"))
    bed.connect("client", PUBLISHED).handshake()
    bed.connect("web", ("203.0.113.10", 443), stack=LINUX).handshake()
    bed.send(IP(src="192.168.66.1", dst="192.168.66.100") / UDP(sport=9, dport=9), "client")
    read_now, printed_now = read(bed), printed(bed)
    assert read_now == {line: printed_now[line] for line in read_now}
    assert {line for line, counters in printed_now.items() if counters and counters.packets} <= set(read_now)
    assert sum(counters.packets > 0 for counters in read_now.values()) > 10


def test_a_rule_added_by_hand_is_read_too(bed: Testbed) -> None:
    bed.counters()
    program = bed.backend.program
    added = ["-p", "tcp", "-m", "tcp", "--dport", "80", "-j", "RETURN"]
    assert bed.host.command([program, "-I", "DOCKER-USER", *added]).returncode == 0
    bed.connect("client", PUBLISHED).handshake()
    rule = "-A DOCKER-USER -p tcp -m tcp --dport 80 -j RETURN"
    assert str(bed.counters().rule("filter", rule)) == "[2:92]"
    assert str(bed.counters().rule("filter", "-A DOCKER-USER -j RETURN")) == "[1:52]"
    assert bed.host.command([program, "-D", "DOCKER-USER", *added]).returncode == 0
    assert rule not in [line.text for line, _ in bed.counters()]


def test_rules_added_by_hand_to_two_beds_are_not_mixed_up(make_bed: MakeBed) -> None:
    """Both rules have the same place, and in nf_tables the same handle; only what they say is different."""
    for port in ("80", "81"):
        bed = make_bed()
        added = ["-p", "tcp", "-m", "tcp", "--dport", port, "-j", "RETURN"]
        assert bed.host.command([bed.backend.program, "-I", "DOCKER-USER", *added]).returncode == 0
        assert f"-A DOCKER-USER {' '.join(added)}" in [line.text for line, _ in bed.counters()]


def test_two_rules_of_the_same_text_are_told_apart(make_bed: MakeBed) -> None:
    text = "*filter\n:FORWARD ACCEPT\n-A FORWARD -p tcp\n-A FORWARD -p tcp -j DROP\n-A FORWARD -p tcp\nCOMMIT\n"
    bed = make_bed(rules=save.parse(text))
    bed.connect("client", ("172.17.0.2", 80), via="192.168.66.100")
    assert (
        bed.counters()
        == """
        *filter
        [1:52] -A FORWARD -p tcp
        [1:52] -A FORWARD -p tcp -j DROP
        [0:0] -A FORWARD -p tcp
        """
    )


def test_a_hundred_connections_are_counted_exactly(bed: Testbed) -> None:
    with bed.counting() as counting:
        for _ in range(100):
            bed.connect("client", PUBLISHED)
    assert str(counting.result.rule("filter", "-A FORWARD -j DOCKER-USER")) == "[100:5200]"
    assert str(counting.result.rule("nat", "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER")) == "[100:5200]"
    assert len(bed.connections()) == 100
    assert bed.forget_connections()
    assert bed.connections() == []


def test_loading_anew_begins_at_zero(bed: Testbed) -> None:
    bed.connect("client", PUBLISHED)
    bed.load(bed.ruleset())
    assert all(counters.packets == 0 for _, counters in bed.counters())
