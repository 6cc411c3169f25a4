"""The result of one packet: where it came out, wherever that was, or which rule dropped it."""

from __future__ import annotations

import pytest

from testbed import NftRuleset, PacketVerdict, Ruleset, Testbed, TestbedError
from testbed.docker import hostfile
from testbed.docker.engines import engine
from testbed.pytest_plugin import MakeBed
from testbed.rules import rulefile
from testbed.rules.reference import RuleKind, RuleReference
from testbed.traffic.layers import ICMP, IP, TCP, UDP, Raw

HOST, CLIENT, WEB, INTERNET = "192.168.66.100", "192.168.66.1", "172.17.0.2", "203.0.113.10"
MAIL = "services:\n  mail: {network_mode: bridge, ports: ['2525:25']}\n"
GUARD = "-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP"
QUESTION = UDP(sport=4000, dport=9) / Raw(b"who")
ONLY_INPUT = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n{}COMMIT\n"


@pytest.fixture
def mail(make_bed: MakeBed) -> Testbed:
    host = hostfile.parse(MAIL)
    return make_bed(engine("28").built(host), rules=engine("28").rules(host))


def rules(*lines: str) -> Ruleset:
    """A filter table with these rules, FORWARD's policy is DROP."""
    text = ONLY_INPUT.format("".join(f"{line}\n" for line in lines))
    found = rulefile.parse(text, "my.rules").as_iptables
    assert found is not None
    return found


def test_published_port_is_delivered_without_naming_a_receiver(mail: Testbed) -> None:
    syn = mail.connect("client", "host:2525").syn
    assert (syn.delivered_to, syn.interface, syn.dnat, syn.snat) == ("mail", "eth0", "172.17.0.2:25", "")
    assert syn.verdict is PacketVerdict.DELIVERED
    assert not syn.dropped


def test_drop_is_proved_by_the_rule_that_counted_it(mail: Testbed) -> None:
    syn = mail.connect("client", "172.17.0.2:26", via="host").syn
    assert syn.dropped
    assert syn.verdict is PacketVerdict.DROPPED
    assert syn.dropped_by == RuleReference("raw", "PREROUTING", 1, GUARD, 0, mail.loaded.source)
    assert (syn.dropped_by.kind, syn.dropped_by.family) == (RuleKind.RULE, "ip")


def test_drop_is_proved_after_delivered_packets_and_after_other_drops(mail: Testbed) -> None:
    for _ in range(3):
        assert mail.connect("client", "host:2525").syn.delivered
        assert mail.connect("client", "172.17.0.2:26", via="host").syn.dropped_by.table == "raw"
    mail.endpoint("client").send(IP(src=CLIENT, dst=WEB) / QUESTION, via=HOST)  # dropped too, and not asked about
    assert mail.connect("client", "172.17.0.2:26", via="host").syn.dropped_by.table == "raw"


def test_policy_that_drops_is_named_with_its_line(make_bed: MakeBed) -> None:
    bed = make_bed(rules=rules("-A FORWARD -p tcp -j ACCEPT"))
    dropped_by = bed.send(IP(src=CLIENT, dst=WEB) / QUESTION, "client", via="host").dropped_by
    assert (str(dropped_by), dropped_by.kind, dropped_by.line) == (
        "filter FORWARD policy: policy DROP",
        RuleKind.POLICY,
        3,
    )


def test_equal_rules_are_told_apart_by_their_numbers(make_bed: MakeBed) -> None:
    """The first of two equal rules drops; a mark in between does not make the second one count."""
    bed = make_bed(rules=rules("-A FORWARD -p tcp -j ACCEPT", "-A FORWARD -p udp -j DROP", "-A FORWARD -p udp -j DROP"))
    dropped_by = bed.send(IP(src=CLIENT, dst=WEB) / QUESTION, "client", via="host").dropped_by
    assert (dropped_by.number, dropped_by.line, dropped_by.source) == (2, 6, "my.rules")


def test_rejected_packet_is_no_dropped_one(make_bed: MakeBed) -> None:
    bed = make_bed(rules=rules("-A FORWARD -j REJECT"))
    result = bed.send(IP(src=CLIENT, dst=WEB) / QUESTION, "client", via="host")
    assert (result.verdict, result.rejected, result.dropped) == (PacketVerdict.REJECTED, True, False)
    assert [answer.icmp for answer in result.answers] == [(3, 3)]
    assert result.dropped_by.text.startswith("-A FORWARD -j REJECT")


@pytest.mark.parametrize(
    ("packet", "verdict"),
    [
        (TCP(sport=4000, dport=99, flags="S"), PacketVerdict.NO_LISTENER),
        (QUESTION, PacketVerdict.NO_LISTENER),
        (ICMP(type=8, id=7), PacketVerdict.ANSWERED_BY_HOST),
    ],
    ids=["tcp", "udp", "echo"],
)
def test_packet_that_the_host_takes_has_the_verdict_of_its_answer(
    bed: Testbed, packet: TCP, verdict: PacketVerdict
) -> None:
    result = bed.send(IP(src=CLIENT, dst=HOST) / packet, "client")
    assert (result.verdict, result.delivered, result.dropped) == (verdict, False, False)
    assert len(result.answers) == 1
    with pytest.raises(TestbedError, match="was not dropped"):
        _ = result.dropped_by


def test_answer_that_is_dropped_is_not_taken_for_the_packet(make_bed: MakeBed) -> None:
    """SYN and reset have 40 bytes each; the one rule that counted drops the host's own packets."""
    bed = make_bed(rules=rules("-A OUTPUT -p tcp -j DROP"))
    result = bed.send(IP(src=CLIENT, dst=HOST) / TCP(sport=4000, dport=99, flags="S"), "client")
    for name in ("verdict", "dropped", "dropped_by"):
        with pytest.raises(TestbedError, match=r"for this packet or for others: filter -A OUTPUT[\s\S]*trace=True"):
            getattr(result, name)
    traced = bed.send(IP(src=CLIENT, dst=HOST) / TCP(sport=4001, dport=99, flags="S"), "client", trace=True)
    assert (traced.verdict, traced.dropped) == (PacketVerdict.LOCAL_INPUT, False)


def test_packet_that_nothing_dropped_or_answered_needs_a_trace(bed: Testbed) -> None:
    bed.load(rules("-A INPUT -p udp -j ACCEPT", "-A OUTPUT -p icmp -j DROP"))
    packet = IP(src=CLIENT, dst=INTERNET, ttl=1) / UDP(sport=1, dport=53)
    with pytest.raises(TestbedError, match="trace=True"):
        _ = bed.send(packet, "client", via="host").verdict
    lost = bed.send(packet, "client", via="host", trace=True)
    assert lost.verdict is PacketVerdict.LOST
    assert lost.dropped_by.kind is RuleKind.ROUTING
    assert "time to live" in lost.dropped_by.text


def test_traced_packet_has_a_journey_its_counters_and_its_dropping_rule(mail: Testbed) -> None:
    syn = mail.connect("client", "172.17.0.2:26", via="host", trace=True).syn
    assert [text for _, text in [(table, rule.text) for table, rule in syn.journey.matched]] == [GUARD]
    assert str(syn.counted.rule("raw", GUARD)) == "[1:52]"
    assert len(syn.counted.moved) == 1
    assert syn.dropped_by == mail.connect("client", "172.17.0.2:26", via="host").syn.dropped_by


def test_packets_of_a_traced_block_have_journeys(mail: Testbed) -> None:
    with mail.tracing():
        syn, syn_ack, _ = mail.connect("client", "host:2525").handshake()
        closed = mail.connect("client", "host:99").syn
    assert syn.journey.end.where == "mail"
    assert syn_ack.journey.end.where == "client"
    assert closed.verdict is PacketVerdict.NO_LISTENER
    behind = mail.connect("client", "host:2525").syn
    with pytest.raises(TestbedError, match="was not traced, so it has no journey"):
        _ = behind.journey


def test_repeated_identification_is_not_taken_for_its_first_packet(bed: Testbed) -> None:
    packet = IP(src=CLIENT, dst=HOST, id=4711) / TCP(sport=4000, dport=80, flags="S", seq=5)
    assert bed.send(packet, "client").delivered_to == "web"
    bed.load(bed.ruleset().as_iptables.insert("filter", "DOCKER-USER", "-j DROP"))
    again = bed.send(packet, "client")
    assert not again.delivered
    assert again.dropped_by.chain == "DOCKER-USER"


def test_result_outlives_a_change_of_the_rules(bed: Testbed) -> None:
    first = bed.send(IP(src=CLIENT, dst=WEB) / QUESTION, "client", via="host")
    bed.load(rules("-A FORWARD -p udp -j DROP"))
    second = bed.send(IP(src=CLIENT, dst=WEB) / QUESTION, "client", via="host")
    assert (first.dropped_by.kind, second.dropped_by.kind) == (RuleKind.POLICY, RuleKind.RULE)


def test_copy_is_not_taken_for_the_packet(bed: Testbed) -> None:
    copying = bed.ruleset().as_iptables.insert("mangle", "PREROUTING", f"-p tcp -j TEE --gateway {CLIENT}")
    bed.load(copying)
    assert bed.connect("internet", "host:80").syn.delivered_to == "web"


def test_kernels_of_the_bed_do_not_disturb_a_proof(make_bed: MakeBed) -> None:
    """The client's own kernel is dropped before and in between; each proof has a reading of its own."""
    bed = make_bed(rules=rules("-A FORWARD -p tcp -j DROP"))
    for _ in range(2):
        bed.send_from_kernel("host", "udp", (WEB, 9))
        assert bed.connect("client", f"{WEB}:80", via="host").syn.dropped_by.number == 1


def test_native_rule_with_a_counter_proves_and_without_one_does_not(make_bed: MakeBed) -> None:
    def bed(statement: str) -> Testbed:
        chain = f"type filter hook forward priority 0; policy accept; ip protocol udp {statement}"
        return make_bed(rules=NftRuleset(f"table ip mine {{\n\tchain forwarding {{\n\t\t{chain}\n\t}}\n}}\n"))

    packet = IP(src=CLIENT, dst=WEB) / QUESTION
    proved = bed("counter drop").send(packet, "client", via="host")
    assert (proved.dropped_by.table, proved.dropped_by.chain, proved.dropped_by.number) == ("ip mine", "forwarding", 1)
    silent = bed("drop")
    with pytest.raises(TestbedError, match=r"have no counter[\s\S]*trace=True"):
        _ = silent.send(packet, "client", via="host").dropped
    assert silent.send(packet, "client", via="host", trace=True).dropped


def test_error_names_the_place_where_a_packet_of_a_connection_went(mail: Testbed) -> None:
    connection = mail.connect("client", "host:2525")
    assert (connection.server, connection.syn.delivered_to) == ("mail", "mail")
    closed = mail.connect("client", "host:99")
    with pytest.raises(TestbedError, match="no listener"):
        _ = closed.server


def test_router_is_given_as_a_node_or_as_an_address(bed: Testbed) -> None:
    for via in ("host", HOST):
        assert bed.connect("client", (WEB, 80), via=via).syn.delivered_to == "web"
    with pytest.raises(TestbedError, match="no address and no node"):
        bed.connect("client", (WEB, 80), via="router")


def test_answers_are_those_up_to_the_moment_of_asking(bed: Testbed) -> None:
    connection = bed.connect("client", "host:80")
    assert connection.syn.answers == ()
    connection.syn_ack()
    assert [answer.kind for answer in connection.syn.answers] == ["SYN/ACK"]
