"""Clauses held against what is known of a packet: true, false, or unknown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import packet_contexts
import pytest

from testbed.rules import save
from testbed.rules.clauses import clauses
from testbed.rules.matching import culprit, first_failing, holds
from testbed.rules.packet_context import PacketContext

CAPTURES = Path(__file__).parent.parent / "data" / "captures"
TYPES = {"192.168.66.100": "LOCAL", "172.17.0.2": "UNICAST", "192.168.66.1": "UNICAST", "2001:db8::1": "LOCAL"}

SYN = replace(packet_contexts.SYN, local_types=TYPES)
ECHO = packet_contexts.as_echo(SYN)
ECHO6 = replace(ECHO, source="2001:db8::2", destination="2001:db8::1", protocol="icmpv6", icmp=(128, 0))
UDP = replace(SYN, protocol="udp", tcp_flags=None)
NAMELESS = PacketContext("10.0.0.1", "10.0.0.2", "tcp")
UNTRACKED = replace(SYN, state="UNTRACKED")

TRUE = [
    "-s 192.168.66.0/24",
    "-d 172.17.0.2/32",
    "-d 172.17.0.2",
    "-d 0.0.0.2/0.0.0.255",
    "-s 0.0.0.0/0",
    "! -d 127.0.0.0/8",
    "-i ens33",
    "-i ens+",
    "-i +",
    "! -i docker0",
    "-o docker0",
    "-p tcp",
    "-p 6",
    "-p all",
    "! -p udp",
    "! -f",
    "-p tcp -m tcp --dport 80",
    "-p tcp -m tcp --dport 80:90",
    "-p tcp -m tcp --dport :80",
    "-p tcp -m tcp --dport 80:",
    "-p tcp -m tcp ! --dport 81",
    "-p tcp -m tcp --sport 1024:65535",
    "-p tcp --syn",
    "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
    "-p tcp -m tcp --tcp-flags ALL SYN",
    "-p tcp -m tcp ! --tcp-flags ALL NONE",
    "-p tcp -m tcp",
    "-p tcp -m multiport --dports 22,80",
    "-p tcp -m multiport --dports 22,79:81",
    "-p tcp -m multiport --ports 40000",
    "-p tcp -m multiport ! --sports 22,80",
    "-m conntrack --ctstate NEW,RELATED",
    "-m conntrack --ctstate DNAT",
    "-m conntrack ! --ctstate SNAT",
    "-m conntrack ! --ctstate INVALID",
    "-m state --state NEW",
    "-m conntrack --ctorigdst 192.168.66.100",
    "-m conntrack --ctorigsrc 192.168.66.0/24",
    "-m conntrack --ctorigdstport 8080",
    "-m conntrack --ctorigsrcport 40000:40001",
    "-m conntrack --ctproto 6",
    "-m conntrack --ctdir ORIGINAL",
    "-m conntrack ! --ctstatus ASSURED",
    "-m addrtype --dst-type UNICAST",
    "-m addrtype ! --dst-type LOCAL",
    "-m addrtype --dst-type LOCAL,UNICAST",
    "-m mark --mark 0x12",
    "-m mark --mark 0x10/0xf0",
    "-m ttl --ttl-eq 63",
    "-m ttl --ttl-lt 64",
    "-m ttl --ttl-gt 62",
    "-m length --length 52",
    "-m length --length 40:60",
    "-m length --length 52:65535",
    "-m iprange --src-range 192.168.66.1-192.168.66.9",
    "-m iprange ! --dst-range 172.17.0.3-172.17.0.9",
]
FALSE = [
    "-s 192.168.67.0/24",
    "! -s 192.168.66.1",
    "-d 0.0.0.3/0.0.0.255",
    "-d 2001:db8::1/128",
    "-i eth0",
    "-i docker+",
    "! -i +",
    "! -o docker0",
    "-p udp",
    "-p 132",
    "-f",
    "-p tcp -m tcp --dport 81",
    "-p tcp -m tcp --dport 81:",
    "-p tcp -m tcp ! --dport 80",
    "-p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK",
    "-p tcp ! --syn",
    "-p udp -m udp --dport 80",
    "-p udp -m udp ! --dport 81",
    "-p tcp -m multiport --dports 22,443",
    "-p icmp -m icmp --icmp-type 8",
    "-m conntrack --ctstate RELATED,ESTABLISHED",
    "-m conntrack ! --ctstate DNAT",
    "-m conntrack --ctdir REPLY",
    "-m conntrack --ctorigdst 172.17.0.2",
    "-m conntrack --ctproto 17",
    "-m addrtype --dst-type LOCAL",
    "-m addrtype --dst-type BROADCAST,MULTICAST",
    "-m mark ! --mark 0x12",
    "-m ttl --ttl-eq 64",
    "-m ttl --ttl-lt 63",
    "-m ttl --ttl-gt 63",
    "-m length ! --length 40:60",
    "-m length --length 53:",
    "-m iprange --dst-range 172.17.0.3-172.17.0.9",
]
UNKNOWN = [
    "-m string --string GET --algo bm",
    '-m string ! --string "GET /" --algo bm',
    '-m u32 --u32 "0>>22&0x3C@4=0x29"',
    "-m statistic --mode random --probability 0.5",
    "-m time --timestart 08:00:00",
    "-m limit --limit 3/min",
    "-m recent --rcheck",
    "-m hashlimit --hashlimit-upto 1/sec",
    "-m bpf --bytecode 1,6",
    "-m owner --uid-owner 0",
    "-m set --match-set black src",
    "-m set ! --match-set black src",
    "-m physdev --physdev-in veth1",
    "-m connmark --mark 0x12",
    "-m addrtype --limit-iface-in",
    "-m conntrack --ctstatus NONE",
    "-m conntrack --ctreplsrc 172.17.0.2",
    "-m conntrack --ctexpire 1:2",
    "-m rpfilter",
    "-m mac --mac-source 02:00:00:00:00:01",
    "-p tcp -m tcp --tcp-option 2",
    "-p tcp -m tcp --dport http",
    "-p quux",
    "-d example.org",
    "-d 10.0.0.0/33",
    "-d",
    "--novelty 1",
]


def answer(spec: str, facts: PacketContext = SYN) -> bool | None:
    """Of a rule's clauses the last one's."""
    return holds(clauses(spec)[-1], facts)


@pytest.mark.parametrize("spec", TRUE)
def test_holds(spec: str) -> None:
    assert answer(spec) is True


@pytest.mark.parametrize("spec", FALSE)
def test_fails(spec: str) -> None:
    assert answer(spec) is False


@pytest.mark.parametrize("spec", UNKNOWN)
def test_cannot_be_told(spec: str) -> None:
    asked = [clause for clause in clauses(spec) if clause.text != "-p tcp"]
    assert {holds(clause, SYN) for clause in asked} == {None}


@pytest.mark.parametrize(
    ("spec", "facts", "expected"),
    [
        ("-p icmp -m icmp --icmp-type 8", ECHO, True),
        ("-p icmp -m icmp --icmp-type echo-request", ECHO, True),
        ("-p icmp -m icmp --icmp-type 8/1", ECHO, False),
        ("-p icmp -m icmp --icmp-type any", ECHO, True),
        ("-p icmp -m icmp ! --icmp-type 3/4", ECHO, True),
        ("-p icmp -m icmp --icmp-type fancy", ECHO, None),
        ("-p ipv6-icmp -m icmp6 --icmpv6-type 128", ECHO6, True),
        ("-p ipv6-icmp -m icmp6 --icmpv6-type neighbour-solicitation", ECHO6, False),
        ("-p ipv6-icmp", ECHO6, True),
        ("-d 2001:db8::/32", ECHO6, True),
        ("-d ::1/::ffff", ECHO6, True),
        ("-m addrtype --dst-type LOCAL", ECHO6, True),
        ("-m addrtype --dst-type UNICAST", ECHO6, True),
        ("-m addrtype --dst-type LOCAL,MULTICAST", ECHO6, None),
        ("-m hl --hl-eq 63", ECHO6, True),
        ("-p tcp -m tcp ! --dport 81", ECHO, False),
        ("-p udp -m udp --dport 80", UDP, True),
        ("-p udp -m multiport --dports 80", UDP, True),
        ("-p sctp -m sctp --dport 80", replace(UDP, protocol="sctp"), True),
        ("-p sctp -m sctp --dport 80", replace(UDP, protocol="132"), True),
        ("-p tcp -m tcp --dport 80", replace(SYN, fragment=True), False),
        ("-p tcp -m tcp ! --dport 80", replace(SYN, fragment=True), False),
        ("-p tcp -m multiport --dports 80", replace(SYN, fragment=True), False),
        ("-f", replace(SYN, fragment=True), True),
        ("-i docker0", replace(SYN, entered=""), False),
        ("! -i docker0", replace(SYN, entered=""), True),
        ("-p tcp -m tcp --tcp-flags SYN,ACK SYN", replace(SYN, tcp_flags="SA"), False),
        ("-p tcp ! --syn", replace(SYN, tcp_flags="SA"), True),
        ("-p tcp --syn", replace(SYN, tcp_flags="SEC"), True),
        ("-m conntrack --ctstate UNTRACKED", UNTRACKED, True),
        ("-m conntrack --ctstate DNAT", UNTRACKED, False),
        ("-m conntrack --ctdir REPLY", UNTRACKED, None),
        ("-m conntrack --ctproto 1", replace(ECHO, state="RELATED"), None),
        ("-m conntrack --ctstatus SEEN_REPLY", replace(SYN, status=frozenset({"SEEN_REPLY"})), True),
        ("-m conntrack --ctorigsrcport 1", replace(SYN, original=("10.0.0.1", None, "10.0.0.2", None)), None),
        ("-m addrtype --src-type UNICAST", replace(SYN, local_types=lambda _: None), None),
        ("-m addrtype --src-type UNICAST", replace(SYN, local_types=lambda _: "UNICAST"), True),
        ("-m set --match-set black src", replace(SYN, sets={"black": lambda _, where: where == ("src",)}), True),
        ("-m set ! --match-set black src", replace(SYN, sets={"black": lambda *_: True}), False),
        ("-m set --match-set white src", replace(SYN, sets={"black": lambda *_: True}), None),
    ],
)
def test_of_another_packet(spec: str, facts: PacketContext, expected: bool | None) -> None:
    assert answer(spec, facts) is expected


@pytest.mark.parametrize(
    "spec",
    [
        "-p tcp -m tcp --dport 80",
        "-p tcp -m tcp ! --dport 80",
        "-p tcp --syn",
        "-p tcp -m multiport --ports 1,2",
        "-m conntrack --ctstate NEW",
        "-m conntrack ! --ctstate NEW,DNAT",
        "-m conntrack --ctdir ORIGINAL",
        "-m conntrack --ctorigdst 10.0.0.2",
        "-m conntrack --ctorigdstport 80",
        "-m addrtype ! --dst-type LOCAL",
        "-m mark --mark 1",
        "-m ttl --ttl-eq 1",
        "-m ttl --ttl-lt 1",
        "-m length --length 1:2",
    ],
)
def test_what_is_not_known_of_the_packet_is_not_guessed(spec: str) -> None:
    assert answer(spec, NAMELESS) is None


@pytest.mark.parametrize(
    ("spec", "matches", "failing", "unknown"),
    [
        ("", True, None, []),
        ("-i ens33 -o docker0", True, None, []),
        ("-i ens33 -o ens33 -p udp", False, "-o ens33", []),
        ("-m limit --limit 3/min -o ens33", False, "-o ens33", ["--limit 3/min"]),
        ("-i ens33 -m limit --limit 3/min", None, None, ["--limit 3/min"]),
        ("-i ens33 -m limit --limit 3/min -m rpfilter", None, None, ["--limit 3/min", "-m rpfilter"]),
        ("-m addrtype --dst-type LOCAL --limit-iface-in", None, None, ["--dst-type LOCAL", "--limit-iface-in"]),
    ],
)
def test_whether_a_rule_matches(spec: str, matches: bool | None, failing: str | None, unknown: list[str]) -> None:
    verdict = first_failing(clauses(spec), SYN)
    assert verdict.matches is matches
    assert (verdict.clause and verdict.clause.text) == failing
    assert [clause.text for clause in verdict.unknown] == unknown


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("-i docker0 -m limit --limit 3/min", "-i docker0"),
        ("-m limit --limit 3/min -i docker0", "-i docker0"),
        ("-i ens33 -m limit --limit 3/min", "--limit 3/min"),
        ("-m limit --limit 3/min --limit-burst 9 -j DROP", "--limit 3/min --limit-burst 9"),
        ("-m limit --limit 3/min -m rpfilter", None),
        ("-m limit --limit 3/min -i ens33 --limit-burst 9", None),
        ("--novelty 1 --rarity 2", None),
        ("-i ens33", None),
        ("", None),
    ],
)
def test_why_a_rule_was_not_matched(spec: str, expected: str | None) -> None:
    found = culprit(clauses(spec), SYN)
    assert (found and found.text) == expected
    assert found is None or spec[found.start : found.end] == found.text


@pytest.mark.parametrize("family", ["iptables", "ip6tables"])
def test_every_captured_clause_can_be_judged(family: str) -> None:
    packet = ECHO6 if family == "ip6tables" else SYN
    rules = [rule for path in CAPTURES.rglob(f"{family}-save.txt") for _, rule in save.read(path).rules]
    assert rules
    for rule in rules:
        for clause in clauses(rule.spec):
            assert holds(clause, packet) is not None, f"{clause} of {rule}"
