"""Clauses as sets of packets, held against what matching.py says of single packets, which the kernel has confirmed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packet_contexts import SYN
from symbolic import free_context, point

from testbed.analysis.clauses import packets_of
from testbed.analysis.context import Context
from testbed.analysis.opaque import OpaqueKind
from testbed.analysis.sets import reader
from testbed.rules.clauses import clauses
from testbed.rules.matching import first_failing
from testbed.rules.packet_context import PacketContext

LOCAL = {"192.168.66.100", "172.17.0.1", "127.0.0.1"}
BROADCAST = {"192.168.66.255", "172.17.255.255", "255.255.255.255"}
BASIC = [
    *("-s 192.168.66.0/24", "-s 192.168.66.1", "-d 172.17.0.2/32", "-d 0.0.0.2/0.0.0.255", "-s 0.0.0.0/0"),
    *("-i ens33", "-i ens+", "-i +", "-i lo", "-i eth0", "-o docker0", "-o docker+"),
    *("-p tcp", "-p udp", "-p 6", "-p icmp", "-p sctp", "-f"),
]
PORTS = ["80", "79:81", ":80", "81:", "40000", "53"]
OF_TCP = [
    *(f"--dport {port}" for port in PORTS),
    *(f"--sport {port}" for port in PORTS),
    *("--syn", "--tcp-flags ALL SYN", "--tcp-flags ALL NONE", "--tcp-flags SYN,ACK ACK", "--tcp-flags FIN,RST FIN,RST"),
]
MATCHES = [
    *(f"-p tcp -m multiport {ports}" for ports in ("--dports 22,80", "--sports 79:81,443", "--ports 80,53")),
    *(f"-p udp -m udp {port}" for port in ("--dport 53", "--sport 1024:65535")),
    *(f"-p icmp -m icmp --icmp-type {kind}" for kind in ("8", "0", "3/3", "echo-request", "any", "3")),
    *(f"-m conntrack --ctstate {state}" for state in ("NEW", "RELATED,ESTABLISHED", "INVALID", "UNTRACKED", "DNAT")),
    *("-m state --state NEW", "-m state --state ESTABLISHED", "-m conntrack --ctstate INVALID,SNAT"),
    *(f"-m conntrack --ctstatus {status}" for status in ("SEEN_REPLY", "ASSURED", "CONFIRMED,SEEN_REPLY")),
    *("-m conntrack --ctorigdst 192.168.66.0/24", "-m conntrack --ctorigsrc 192.168.66.1"),
    *("-m conntrack --ctorigdstport 8080", "-m conntrack --ctorigsrcport 40000:40001", "-m conntrack --ctproto 6"),
    *(f"-m addrtype --dst-type {kind}" for kind in ("LOCAL", "UNICAST", "BROADCAST", "MULTICAST", "LOCAL,UNICAST")),
    *("-m addrtype --src-type LOCAL", "-m mark --mark 0x12", "-m mark --mark 0x10/0xf0", "-m mark --mark 0"),
    *("-m ttl --ttl-eq 63", "-m length --length 52", "-m length --length 40:60", "-m length --length 53:"),
    *("-m iprange --src-range 192.168.66.1-192.168.66.9", "-m iprange --dst-range 10.0.0.0-192.0.0.0"),
]
PLAIN = ["-m ttl --ttl-lt 63", "-m ttl --ttl-gt 62", "-m conntrack --ctdir REPLY", "-m conntrack --ctdir ORIGINAL", ""]


@st.composite
def specs(draw: st.DrawFn) -> str:
    """A rule of one to four conditions, each negated or not."""
    parts = draw(st.lists(st.sampled_from([*BASIC, *MATCHES, *PLAIN]), min_size=1, max_size=3))
    if draw(st.booleans()):
        parts.append("-p tcp -m tcp " + draw(st.sampled_from(OF_TCP)))
    return " ".join(part if part in PLAIN or draw(st.booleans()) else negated(part) for part in parts)


def negated(spec: str) -> str:
    place = spec.rfind(" -") + 1
    return f"{spec[:place]}! {spec[place:]}"


@st.composite
def packets(draw: st.DrawFn) -> PacketContext:
    pick = draw(st.sampled_from(["tcp", "udp", "icmp", "sctp", "47"]))
    ports = pick in ("tcp", "udp", "sctp")
    port = st.sampled_from([80, 53, 22, 443, 40000, 8080, 1, 65535])
    addresses = st.sampled_from(
        ["192.168.66.1", "192.168.66.100", "172.17.0.2", "172.17.0.1", "203.0.113.10", "192.168.66.255", "224.0.0.1"]
    )
    state = draw(st.sampled_from(["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"]))
    return replace(
        SYN,
        source=draw(addresses),
        destination=draw(addresses),
        protocol=pick,
        source_port=draw(port) if ports else None,
        destination_port=draw(port) if ports else None,
        tcp_flags="".join(draw(st.sets(st.sampled_from("FSRPAUEC")))) if pick == "tcp" else None,
        icmp=draw(st.sampled_from([(8, 0), (0, 0), (3, 3), (3, 4), (13, 0)])) if pick == "icmp" else None,
        entered=draw(st.sampled_from(["ens33", "docker0", "lo", ""])),
        left=draw(st.sampled_from(["ens33", "docker0", ""])),
        state=state,
        status=draw(st.frozensets(st.sampled_from(["DNAT", "SNAT", "SEEN_REPLY", "ASSURED", "CONFIRMED"]))),
        mark=draw(st.sampled_from([0, 0x12, 0x10, 0xFFFFFFFF])),
        ttl=draw(st.integers(0, 255)),
        length=draw(st.sampled_from([20, 40, 52, 53, 60, 1500, 65535])),
        direction=draw(st.sampled_from(["ORIGINAL", "REPLY"])),
        original=draw(st.sampled_from([SYN.original, ("10.0.0.1", 1, "10.0.0.2", 2)])),
        local_types=kind_of,
    )


def kind_of(address: str) -> str:
    if address in LOCAL:
        return "LOCAL"
    if address in BROADCAST:
        return "BROADCAST"
    return "MULTICAST" if address.startswith("224.") else "UNICAST"


CONTEXT = free_context()


def meets(context: Context, spec: str, facts: PacketContext) -> bool:
    return (packets_of(context, clauses(spec)) & point(context, facts)).satisfiable()


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(specs(), packets())
def test_a_random_rule_holds_for_a_random_packet_as_matching_says(spec: str, facts: PacketContext) -> None:
    expected = first_failing(clauses(spec), facts).matches
    if expected is not None:
        assert meets(CONTEXT, spec, facts) is expected, (spec, facts)


@pytest.mark.parametrize("part", [*BASIC, *MATCHES, *PLAIN])
def test_no_clause_of_these_is_opaque(part: str) -> None:
    before = len(CONTEXT.opaque.known)
    packets_of(CONTEXT, clauses(part))
    assert len(CONTEXT.opaque.known) == before


def test_an_invalid_packet_is_asked_for_its_state_alone() -> None:
    invalid = replace(SYN, state="INVALID", direction="REPLY")
    assert meets(CONTEXT, "-m conntrack --ctstate INVALID --ctdir ORIGINAL", invalid)
    assert meets(CONTEXT, "-m conntrack --ctstate INVALID --ctorigdst 10.9.9.9", invalid)
    assert not meets(CONTEXT, "-m conntrack --ctdir REPLY", invalid)
    assert not meets(CONTEXT, "-m conntrack ! --ctdir REPLY", invalid)
    assert not meets(CONTEXT, "-m conntrack --ctstate INVALID -m conntrack --ctdir REPLY", invalid)


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("-m string --string GET --algo bm --to 65535", OpaqueKind.UNREAD),
        ("-m time --timestart 08:00:00 --timestop 09:00:00", OpaqueKind.UNREAD),
        ("-p tcp -m tcp --tcp-option 5", OpaqueKind.UNREAD),
        ("-m statistic --mode random --probability 0.5", OpaqueKind.RANDOM),
        ("-m statistic --mode nth --every 3 --packet 0", OpaqueKind.COUNTING),
        ("-m limit --limit 3/min --limit-burst 5", OpaqueKind.COUNTING),
        ("-m recent --name knock --rcheck --seconds 60", OpaqueKind.COUNTING),
    ],
)
def test_what_cannot_be_read_is_one_free_variable_with_its_words(spec: str, kind: OpaqueKind) -> None:
    context = free_context()
    found = packets_of(context, clauses(spec))
    (clause,) = context.opaque.known
    assert clause.kind is kind
    assert found.exists(clause.variables[0]) != found
    assert packets_of(context, clauses(spec)) == found or kind is not OpaqueKind.UNREAD


def test_a_negated_free_clause_is_the_complement_of_the_same_one() -> None:
    context = free_context()
    plain, other = "-m string --algo bm --string GET", "-m string --algo bm ! --string GET"
    assert packets_of(context, clauses(plain)) != packets_of(context, clauses(other))
    time = packets_of(context, clauses("-m time --timestart 08:00:00"))
    assert packets_of(context, clauses("-m time ! --timestart 08:00:00")) == ~time


def test_two_random_clauses_of_equal_words_in_one_chain_are_independent() -> None:
    context = free_context()
    spec = "-m statistic --mode random --probability 0.5"
    first = packets_of(context, clauses(spec))
    context.reaching = ~first
    second = packets_of(context, clauses(spec))
    assert first != second
    assert (~first & second).satisfiable()


def test_an_ipset_is_read_by_its_content() -> None:
    context = free_context()
    context.sets = reader(
        "create bad hash:net family inet\nadd bad 192.168.66.0/24\nadd bad 192.168.66.1 nomatch\n"
        "create web hash:ip,port family inet\nadd web 172.17.0.2,tcp:80\ncreate soon hash:ip family inet timeout 60\n"
    )
    inside = replace(SYN, source="192.168.66.7")
    assert meets(context, "-m set --match-set bad src", inside)
    assert not meets(context, "-m set --match-set bad src", SYN)
    assert meets(context, "-m set ! --match-set bad dst", SYN)
    assert meets(context, "-m set --match-set web dst,dst", SYN)
    assert not meets(context, "-m set --match-set web dst,dst", replace(SYN, destination_port=81))
    assert not context.opaque.known
    assert meets(context, "-m set --match-set soon src", SYN)
    assert [clause.kind for clause in context.opaque.known] == [OpaqueKind.UNREAD]
