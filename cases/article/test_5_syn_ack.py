"""The second packet: from the container's SYN/ACK to the client."""

from testbed import Ruleset, Testbed
from testbed.docker import article
from testbed.pytest_plugin import MakeBed

PUBLISHED = ("192.168.66.100", 80)
AFTER_SYN_ACK = """
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
[2:104] -A FORWARD -j DOCKER-USER
[2:104] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
[0:0] -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
[1:52] -A FORWARD -o docker0 -j DOCKER
[1:52] -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
[0:0] -A FORWARD -i docker0 -o docker0 -j ACCEPT
[1:52] -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
[1:52] -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
[2:104] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
[0:0] -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
[1:52] -A DOCKER-ISOLATION-STAGE-2 -j RETURN
[2:104] -A DOCKER-USER -j RETURN
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


def test_the_table_after_the_syn_ack(bed: Testbed) -> None:
    with bed.counting() as counting:
        talk = bed.connect("client", PUBLISHED)
        syn_ack = talk.syn_ack()
    assert counting.result == AFTER_SYN_ACK
    assert syn_ack.translated == ("source 172.17.0.2:80 > 192.168.66.100:80",)


def test_the_syn_ack_alone_goes_through_both_isolation_stages_and_the_fifth_rule(bed: Testbed) -> None:
    talk = bed.connect("client", PUBLISHED)
    with bed.counting() as counting:
        talk.syn_ack()
    assert (
        counting.result
        == """
        *filter
        :FORWARD DROP [0:0]
        [1:52] -A FORWARD -j DOCKER-USER
        [1:52] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
        [1:52] -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
        [1:52] -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
        [1:52] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
        [1:52] -A DOCKER-ISOLATION-STAGE-2 -j RETURN
        [1:52] -A DOCKER-USER -j RETURN
        *nat
        :PREROUTING ACCEPT [0:0]
        :POSTROUTING ACCEPT [0:0]
        """
    )


def test_a_reply_passes_no_rule_of_nat(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    """Witnesses that match everything count the SYN in both chains of nat, and neither the reply nor the ACK."""
    rules = testbed_rules.insert("nat", "PREROUTING", "-p tcp").insert("nat", "POSTROUTING", "-p tcp")
    bed = make_bed(rules=rules)
    with bed.counting() as counting:
        talk = bed.connect("client", PUBLISHED)
    assert counting.result.rule("nat", "-A PREROUTING -p tcp").packets == 1
    assert counting.result.rule("nat", "-A POSTROUTING -p tcp").packets == 1
    with bed.counting() as counting:
        syn_ack = talk.syn_ack()
        talk.ack()
    assert counting.result.rule("nat", "-A PREROUTING -p tcp").packets == 0
    assert counting.result.rule("nat", "-A POSTROUTING -p tcp").packets == 0
    assert syn_ack.translated == ("source 172.17.0.2:80 > 192.168.66.100:80",)


def test_the_source_is_put_back_after_postrouting_and_not_before_routing(
    make_bed: MakeBed, testbed_rules: Ruleset
) -> None:
    """The article has it rewritten in PREROUTING. FORWARD and mangle POSTROUTING still see the container's address."""
    own, published = "-s 172.17.0.2/32", "-s 192.168.66.100/32"
    rules = testbed_rules
    for table, chain in (("filter", "FORWARD"), ("mangle", "POSTROUTING")):
        for source in (own, published):
            rules = rules.insert(table, chain, f"{source} -o ens33")
    bed = make_bed(rules=rules)
    talk = bed.connect("client", PUBLISHED)
    with bed.counting() as counting:
        syn_ack = talk.syn_ack()
    assert str(counting.result.rule("filter", f"-A FORWARD {own} -o ens33")) == "[1:52]"
    assert str(counting.result.rule("mangle", f"-A POSTROUTING {own} -o ens33")) == "[1:52]"
    assert counting.result.rule("filter", f"-A FORWARD {published} -o ens33").packets == 0
    assert counting.result.rule("mangle", f"-A POSTROUTING {published} -o ens33").packets == 0
    assert syn_ack.arrived is not None
    assert syn_ack.arrived.from_ == "192.168.66.100:80"


def test_the_syn_ack_is_routed_to_the_lan_through_ens33(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    """By the connected route, straight from the host; by the default route the gateway would be a second router."""
    bed = make_bed(rules=testbed_rules.insert("filter", "FORWARD", "-i docker0 -o ens33"))
    talk = bed.connect("client", PUBLISHED)
    with bed.counting() as counting:
        syn_ack = talk.syn_ack()
    assert str(counting.result.rule("filter", "-A FORWARD -i docker0 -o ens33")) == "[1:52]"
    assert syn_ack.routers == 1
    asked = ["ip", "route", "get", "fibmatch", "192.168.66.1", "from", "172.17.0.2", "iif", "docker0"]
    assert bed.host.command(asked).stdout.split()[:3] == ["192.168.66.0/24", "dev", "ens33"]


def test_the_syn_ack_is_established_and_not_new(make_bed: MakeBed, testbed_rules: Ruleset) -> None:
    """The article calls it NEW. Rule 3 passes it over only because it leaves by ens33, not by docker0."""
    rules = testbed_rules.insert("filter", "FORWARD", "-m conntrack --ctstate NEW")
    rules = rules.insert("filter", "FORWARD", "-m conntrack --ctstate RELATED,ESTABLISHED")
    rules = rules.insert("filter", "FORWARD", "-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED")
    bed = make_bed(rules=rules)
    talk = bed.connect("client", PUBLISHED)
    with bed.counting() as counting:
        talk.syn_ack()
    counted = counting.result
    assert counted.rule("filter", "-A FORWARD -m conntrack --ctstate NEW").packets == 0
    assert str(counted.rule("filter", "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED")) == "[1:52]"
    assert counted.rule("filter", "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED").packets == 0
    third = "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    assert counted.rule("filter", third).packets == 0


STAGE_2_DROP = "-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP"


def test_stage_2_drops_nothing_where_there_is_one_bridge(bed: Testbed) -> None:
    """Only what does not leave by docker0 gets there, and its DROP asks for what does: no packet can match both."""
    with bed.counting() as counting:
        bed.connect("client", PUBLISHED).handshake()
        bed.connect("web", ("203.0.113.10", 443)).handshake()
        bed.connect("web", PUBLISHED)
    assert counting.result.rule("filter", "-A DOCKER-ISOLATION-STAGE-2 -j RETURN").packets == 3
    assert counting.result.rule("filter", STAGE_2_DROP).packets == 0


def test_stage_2_drops_what_goes_from_one_bridge_to_another(make_bed: MakeBed) -> None:
    """The article has it keep container traffic out of the host; with a second bridge it shows what it is for."""
    bed = make_bed(article.HOST_WITH_TWO_NETWORKS, article.rules_of(article.HOST_WITH_TWO_NETWORKS))
    with bed.counting() as counting:
        across = bed.connect("app", ("172.17.0.2", 80)).syn
    assert not across.delivered
    bridge = article.SECOND_NETWORK.bridge
    assert (
        counting.result
        == f"""
        *filter
        :FORWARD DROP [0:0]
        [1:52] -A FORWARD -j DOCKER-USER
        [1:52] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
        [1:52] -A DOCKER-ISOLATION-STAGE-1 -i {bridge} ! -o {bridge} -j DOCKER-ISOLATION-STAGE-2
        [1:52] {STAGE_2_DROP}
        [1:52] -A DOCKER-USER -j RETURN
        """
    )


def test_container_traffic_may_enter_the_host_whatever_stage_2_says(bed: Testbed) -> None:
    """A packet from the container to the host itself passes INPUT and none of the isolation chains."""
    with bed.counting() as counting:
        bed.connect("web", ("172.17.0.1", 22))
    assert str(counting.result.rule("filter", ":INPUT ACCEPT")) == "[1:52]"
    assert counting.result.rule("filter", "-A FORWARD -j DOCKER-ISOLATION-STAGE-1").packets == 0
