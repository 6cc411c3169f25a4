"""The first packet: from the client's SYN to the container.

Rules put in front of a chain for a test are witnesses: they count, and do nothing else.
"""

from testbed import LINUX, WINDOWS, Ruleset, Testbed
from testbed.pytest_plugin import MakeBed

PUBLISHED = ("192.168.66.100", 80)
AFTER_SYN = """
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
[1:52] -A FORWARD -j DOCKER-USER
[1:52] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
[0:0] -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
[1:52] -A FORWARD -o docker0 -j DOCKER
[0:0] -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
[0:0] -A FORWARD -i docker0 -o docker0 -j ACCEPT
[1:52] -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
[0:0] -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
[1:52] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
[0:0] -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
[0:0] -A DOCKER-ISOLATION-STAGE-2 -j RETURN
[1:52] -A DOCKER-USER -j RETURN
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [1:52]
[1:52] -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
[0:0] -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
[0:0] -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
[0:0] -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
[0:0] -A DOCKER -i docker0 -j RETURN
[1:52] -A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
"""


def test_the_table_after_the_syn(bed: Testbed) -> None:
    with bed.counting() as counting:
        syn = bed.connect("client", PUBLISHED).syn
    assert counting.result == AFTER_SYN
    assert syn.translated == ("destination 192.168.66.100:80 > 172.17.0.2:80",)


def test_the_syn_is_new_and_passes_raw_then_mangle_then_nat(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    """Each table marks the packet for the next one: in any other order a witness would not find its mark.

    raw stands before connection tracking, so there the packet has no state yet.
    """
    rules = (
        testbed_rules.insert("raw", "PREROUTING", "-j MARK --set-xmark 0x1/0xffffffff")
        .insert("raw", "PREROUTING", "-m conntrack --ctstate NEW")
        .insert("mangle", "PREROUTING", "-m mark --mark 0x1 -j MARK --set-xmark 0x2/0xffffffff")
        .insert("mangle", "PREROUTING", "-m conntrack --ctstate NEW")
        .insert("nat", "PREROUTING", "-m mark --mark 0x2")
        .insert("nat", "PREROUTING", "-m conntrack --ctstate NEW")
    )
    bed = make_bed(rules=rules)
    with bed.counting() as counting:
        bed.connect("client", PUBLISHED)
    assert counting.result.rule("raw", "-A PREROUTING -m conntrack --ctstate NEW").packets == 0
    assert counting.result.rule("raw", "-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff").packets == 1
    mangle = "-A PREROUTING -m mark --mark 0x1 -j MARK --set-xmark 0x2/0xffffffff"
    assert counting.result.rule("mangle", "-A PREROUTING -m conntrack --ctstate NEW").packets == 1
    assert counting.result.rule("mangle", mangle).packets == 1
    assert counting.result.rule("nat", "-A PREROUTING -m conntrack --ctstate NEW").packets == 1
    assert counting.result.rule("nat", "-A PREROUTING -m mark --mark 0x2").packets == 1


def test_nat_sends_only_packets_for_a_local_address_to_docker(bed: Testbed) -> None:
    """A packet straight to the container's address passes nat PREROUTING without going to DOCKER."""
    with bed.counting() as counting:
        local = bed.connect("client", PUBLISHED).syn
        direct = bed.connect("client", ("172.17.0.2", 80), via="192.168.66.100").syn
    assert str(counting.result.rule("nat", "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER")) == "[1:52]"
    assert str(counting.result.rule("nat", ":PREROUTING ACCEPT")) == "[1:52]"
    assert local.translated
    assert direct.delivered_to == "web"
    assert not direct.translated


def test_nat_docker_translates_port_80_from_elsewhere_and_nothing_else(bed: Testbed) -> None:
    with bed.counting() as counting:
        to_80 = bed.connect("client", PUBLISHED).syn
        to_81 = bed.connect("client", ("192.168.66.100", 81)).syn
    assert to_80.translated == ("destination 192.168.66.100:80 > 172.17.0.2:80",)
    assert not to_81.delivered
    dnat = "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"
    assert str(counting.result.rule("nat", "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER")) == "[2:104]"
    assert str(counting.result.rule("nat", dnat)) == "[1:52]"


def test_nat_docker_leaves_packets_from_docker0_alone(bed: Testbed) -> None:
    """The container asks the host's published port: RETURN, no DNAT, so the host itself is addressed."""
    with bed.counting() as counting:
        asked = bed.connect("web", PUBLISHED).syn
    assert not asked.delivered
    assert (
        counting.result
        == """
        *filter
        :INPUT ACCEPT [1:52]
        :FORWARD DROP [0:0]
        *nat
        :PREROUTING ACCEPT [1:52]
        [1:52] -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
        [1:52] -A DOCKER -i docker0 -j RETURN
        """
    )


def test_after_dnat_the_packet_is_routed_to_docker0_and_forwarded(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    """Not in the local table means forwarded; a sentence of the article's summary has it the wrong way round."""
    bed = make_bed(
        rules=testbed_rules.insert("filter", "FORWARD", "-d 172.17.0.2/32 -i ens33 -o docker0").insert(
            "filter", "INPUT", "-i ens33"
        )
    )
    with bed.counting() as counting:
        syn = bed.connect("client", PUBLISHED).syn
        unpublished = bed.connect("client", ("192.168.66.100", 81)).syn
    assert syn.delivered_to == "web"
    assert not unpublished.delivered
    assert str(counting.result.rule("filter", "-A FORWARD -d 172.17.0.2/32 -i ens33 -o docker0")) == "[1:52]"
    assert str(counting.result.rule("filter", "-A INPUT -i ens33")) == "[1:52]"  # the untranslated one alone
    way = ["ip", "route", "get", "fibmatch"]
    to_container = bed.host.command([*way, "172.17.0.2"]).stdout.split()
    to_host = bed.host.command([*way, "192.168.66.100"]).stdout.split()
    assert to_container[:3] == ["172.17.0.0/16", "dev", "docker0"]
    assert to_host[:4] == ["local", "192.168.66.100", "dev", "ens33"]


def test_what_no_rule_accepts_is_dropped_by_the_policy_of_forward(bed: Testbed) -> None:
    """A packet to a port of the container that is not published, sent through the host."""
    with bed.counting() as counting:
        dropped = bed.connect("client", ("172.17.0.2", 81), via="192.168.66.100").syn
    assert not dropped.delivered
    assert (
        counting.result
        == """
        *filter
        :INPUT ACCEPT [0:0]
        :FORWARD DROP [1:52]
        [1:52] -A FORWARD -j DOCKER-USER
        [1:52] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
        [1:52] -A FORWARD -o docker0 -j DOCKER
        [1:52] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
        [1:52] -A DOCKER-USER -j RETURN
        *nat
        :PREROUTING ACCEPT [1:52]
        :POSTROUTING ACCEPT [0:0]
        """
    )


def test_docker_user_returns_everything(bed: Testbed) -> None:
    """As many packets as go in come back: the next rule of FORWARD counts every one of them, whatever it is."""
    with bed.counting() as counting:
        bed.connect("client", PUBLISHED).handshake()
        bed.connect("web", ("203.0.113.10", 443), stack=LINUX).handshake()
        bed.connect("client", ("172.17.0.2", 81), via="192.168.66.100")
    into = counting.result.rule("filter", "-A FORWARD -j DOCKER-USER")
    assert into.packets == 7
    assert counting.result.rule("filter", "-A DOCKER-USER -j RETURN") == into
    assert counting.result.rule("filter", "-A FORWARD -j DOCKER-ISOLATION-STAGE-1") == into


def test_a_rule_in_docker_user_is_asked_before_all_of_dockers_own(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    """What is dropped there is not seen by any other chain of FORWARD."""
    bed = make_bed(rules=testbed_rules.insert("filter", "DOCKER-USER", "-s 192.168.66.1/32 -j DROP"))
    with bed.counting() as counting:
        assert not bed.connect("client", PUBLISHED).syn.delivered
    assert (
        counting.result
        == """
        *filter
        [1:52] -A FORWARD -j DOCKER-USER
        [0:0] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
        [1:52] -A DOCKER-USER -s 192.168.66.1/32 -j DROP
        *nat
        [1:52] -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
        [1:52] -A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
        """
    )


def test_stage_1_sends_on_only_what_leaves_docker0_for_elsewhere(bed: Testbed) -> None:
    stage_1 = "-A DOCKER-ISOLATION-STAGE-1"
    with bed.counting() as counting:
        bed.connect("client", PUBLISHED)
    assert counting.result.rule("filter", f"{stage_1} -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2").packets == 0
    assert str(counting.result.rule("filter", f"{stage_1} -j RETURN")) == "[1:52]"
    with bed.counting() as counting:
        bed.connect("web", ("203.0.113.10", 443))
    to_stage_2 = counting.result.rule("filter", f"{stage_1} -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2")
    assert str(to_stage_2) == "[1:52]"
    assert str(counting.result.rule("filter", f"{stage_1} -j RETURN")) == "[1:52]"


def test_the_syn_is_accepted_in_docker_and_not_as_established(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    """It is NEW when FORWARD sees it, so RELATED,ESTABLISHED cannot match; an ACCEPT in DOCKER ends its way."""
    rules = testbed_rules.insert("filter", "FORWARD", "-m conntrack --ctstate NEW").insert(
        "filter", "FORWARD", "-m conntrack --ctstate RELATED,ESTABLISHED"
    )
    bed = make_bed(rules=rules)
    with bed.counting() as counting:
        syn = bed.connect("client", PUBLISHED).syn
    assert counting.result == AFTER_SYN.replace("*nat", "[1:52] -A FORWARD -m conntrack --ctstate NEW\n*nat")
    assert syn.delivered_to == "web"


def test_without_the_accept_in_docker_the_syn_is_dropped(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    accept = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"
    bed = make_bed(rules=testbed_rules.delete("filter", accept))
    with bed.counting() as counting:
        syn = bed.connect("client", PUBLISHED).syn
    assert not syn.delivered
    assert str(counting.result.rule("filter", ":FORWARD DROP")) == "[1:52]"


def test_no_rule_of_postrouting_matches_the_syn(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    """It passes mangle and nat POSTROUTING, and comes out with the client's own address as its source."""
    bed = make_bed(
        rules=testbed_rules.insert("mangle", "POSTROUTING", "-o docker0").insert("nat", "POSTROUTING", "-o docker0")
    )
    with bed.counting() as counting:
        syn = bed.connect("client", PUBLISHED).syn
    assert str(counting.result.rule("mangle", "-A POSTROUTING -o docker0")) == "[1:52]"
    assert str(counting.result.rule("nat", "-A POSTROUTING -o docker0")) == "[1:52]"
    assert str(counting.result.rule("nat", ":POSTROUTING ACCEPT")) == "[1:52]"
    assert counting.result.rule("nat", "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE").packets == 0
    assert syn.arrived is not None
    assert syn.arrived.source == "192.168.66.1"


def test_a_connection_counts_once_in_nat(bed: Testbed) -> None:
    """Two SYNs said again are the same connection; a second connection is what makes nat count again."""
    with bed.counting() as counting:
        talk = bed.connect("client", PUBLISHED)
        talk.repeat_syn()
        talk.repeat_syn()
        talk.handshake()
    nat = counting.result
    dnat = "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"
    assert str(nat.rule("nat", "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER")) == "[1:52]"
    assert str(nat.rule("nat", dnat)) == "[1:52]"
    assert str(nat.rule("filter", "-A FORWARD -j DOCKER-USER")) == "[5:248]"  # SYN three times, SYN/ACK, ACK
    with bed.counting() as counting:
        bed.connect("client", PUBLISHED)
    assert str(counting.result.rule("nat", dnat)) == "[1:52]"


def test_every_packet_of_a_connection_uses_the_tracked_translation(bed: Testbed) -> None:
    """Also with the DNAT rule taken out in between: what was tracked goes on, what is new is not translated."""
    talk = bed.connect("client", PUBLISHED)
    dnat = "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"
    bed.load(bed.ruleset().delete("nat", dnat))
    assert talk.syn_ack().translated == ("source 172.17.0.2:80 > 192.168.66.100:80",)
    assert talk.ack().translated == ("destination 192.168.66.100:80 > 172.17.0.2:80",)
    assert not bed.connect("client", PUBLISHED).syn.delivered


def test_two_connections_count_112_bytes_in_dnat(bed: Testbed) -> None:
    """One listing shows 112 bytes for one packet: a SYN of 52 bytes and one of 60 are two connections."""
    dnat = "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"
    with bed.counting() as counting:
        bed.connect("client", PUBLISHED, stack=WINDOWS).handshake()
        assert str(counting.so_far().rule("nat", dnat)) == "[1:52]"
        bed.connect("client", PUBLISHED, stack=LINUX).handshake()
    assert str(counting.result.rule("nat", dnat)) == "[2:112]"


def test_nat_docker_is_referred_to_twice(bed: Testbed) -> None:
    """By PREROUTING, and by OUTPUT for the host's own connections, which the article's listings leave out."""
    jumps = [rule.chain for table, rule in bed.ruleset().rules if (table.name, rule.target) == ("nat", "DOCKER")]
    assert jumps == ["PREROUTING", "OUTPUT"]
    listed = bed.host.command([bed.backend.program, "-t", "nat", "-n", "-L", "DOCKER"])
    assert listed.stdout.splitlines()[0] == "Chain DOCKER (2 references)"
    web = bed.endpoint("web")
    with bed.counting() as counting, bed.connect_from_kernel("host", PUBLISHED):
        (syn,) = web.arrivals()
    assert (syn.flags, syn.source, syn.to) == ("S", "192.168.66.100", "172.17.0.2:80")
    output = "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER"
    assert str(counting.result.rule("nat", output)) == "[1:60]"
    assert counting.result.rule("nat", "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER").packets == 0
