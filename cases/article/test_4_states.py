"""The states of connection tracking, as the article's first summary lists them.

A witness for each state stands in front of FORWARD: which one counts a packet is the packet's state.
"""

from testbed import CounterReading, Ruleset, Testbed
from testbed.kernel.devices import write_sysctls
from testbed.pytest_plugin import MakeBed
from testbed.traffic.layers import ICMP, IP, TCP, IPerror, TCPerror

PUBLISHED = ("192.168.66.100", 80)
STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")


def bed_with_witnesses(make_bed: MakeBed, rules: Ruleset) -> Testbed:
    for state in STATES:
        rules = rules.insert("filter", "FORWARD", f"-m conntrack --ctstate {state}")
    return make_bed(rules=rules)


def states(counted: CounterReading) -> dict[str, int]:
    """How many packets had which state."""
    packets = {state: counted.rule("filter", f"-A FORWARD -m conntrack --ctstate {state}").packets for state in STATES}
    return {state: number for state, number in packets.items() if number}


def test_the_first_packet_is_new_and_all_others_are_established(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    bed = bed_with_witnesses(make_bed, testbed_rules)
    with bed.counting() as counting:
        talk = bed.connect("client", PUBLISHED)
    assert states(counting.result) == {"NEW": 1}
    with bed.counting() as counting:
        talk.syn_ack()
        talk.ack()
        talk.send(b"GET / HTTP/1.0\r\n\r\n")
        talk.close()
    assert states(counting.result) == {"ESTABLISHED": 8}


def test_an_error_about_a_connection_is_related(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    """The container reports a port unreachable; the quoted packet is translated back for the client."""
    bed = bed_with_witnesses(make_bed, testbed_rules)
    bed.connect("client", PUBLISHED, port=40123)
    quoted = IPerror(src="192.168.66.1", dst="172.17.0.2") / TCPerror(sport=40123, dport=80)
    with bed.counting() as counting:
        error = bed.send(IP(src="172.17.0.2", dst="192.168.66.1") / ICMP(type=3, code=3) / quoted, "web")
    assert states(counting.result) == {"RELATED": 1}
    assert error.arrived is not None
    assert error.arrived.source == "192.168.66.100"
    inner = IP(error.arrived.payload)
    assert (inner.dst, inner.payload.dport) == ("192.168.66.100", 80)


def test_an_answer_to_no_question_is_invalid(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    bed = bed_with_witnesses(make_bed, testbed_rules)
    with bed.counting() as counting:
        bed.send(_syn_ack("192.168.66.1", "172.17.0.2"), "client", via="192.168.66.100")
    assert states(counting.result) == {"INVALID": 1}
    assert bed.connections() == []


def test_a_bare_ack_is_new_or_invalid_as_tcp_loose_says(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    """With nf_conntrack_tcp_loose=1, the default, an unknown connection is picked up in the middle."""
    bed = bed_with_witnesses(make_bed, testbed_rules)
    ack = IP(src="192.168.66.1", dst="172.17.0.2") / TCP(sport=40001, dport=80, flags="A", seq=7, ack=7)
    with bed.counting() as counting:
        bed.send(ack, "client", via="192.168.66.100")
    assert states(counting.result) == {"NEW": 1}
    bed.forget_connections()
    bed.host.run(write_sysctls, (("net.netfilter.nf_conntrack_tcp_loose", "0"),))
    with bed.counting() as counting:
        bed.send(ack, "client", via="192.168.66.100")
    assert states(counting.result) == {"INVALID": 1}


def test_there_is_a_fifth_state(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    """A packet that raw takes out of connection tracking is UNTRACKED; the article names four states."""
    rules = testbed_rules.insert("raw", "PREROUTING", "-p tcp -m tcp --dport 80 -j CT --notrack")
    bed = bed_with_witnesses(make_bed, rules)
    with bed.counting() as counting:
        bed.connect("client", ("172.17.0.2", 80), via="192.168.66.100")
    assert states(counting.result) == {"UNTRACKED": 1}
    assert bed.connections() == []


def test_no_rule_refuses_invalid_packets(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    """The same INVALID packet passes where a rule accepts its way, and is dropped by the policy where none does."""
    bed = bed_with_witnesses(make_bed, testbed_rules)
    with bed.counting() as counting:
        outward = bed.send(_syn_ack("172.17.0.2", "192.168.66.1"), "web")
        to_80 = bed.send(_syn_ack("192.168.66.1", "172.17.0.2", 80), "client", via="192.168.66.100")
        to_81 = bed.send(_syn_ack("192.168.66.1", "172.17.0.2", 81), "client", via="192.168.66.100")
    assert states(counting.result) == {"INVALID": 3}
    assert (outward.delivered, to_80.delivered, to_81.delivered) == (True, True, False)
    assert not outward.translated  # and NAT has no hand in it: the LAN sees the container's own address
    accept = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"
    assert str(counting.result.rule("filter", "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT")) == "[1:40]"
    assert str(counting.result.rule("filter", accept)) == "[1:40]"
    assert str(counting.result.rule("filter", ":FORWARD DROP")) == "[1:40]"


def _syn_ack(source: str, destination: str, port: int = 80) -> IP:
    return IP(src=source, dst=destination) / TCP(sport=40001, dport=port, flags="SA", seq=7, ack=7)
