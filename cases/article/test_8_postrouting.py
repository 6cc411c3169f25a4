"""From the container outward: MASQUERADE, and the rule that counts nothing until a container calls itself."""

from testbed import LINUX, Testbed
from testbed.docker import article
from testbed.pytest_plugin import MakeBed

PUBLISHED = ("192.168.66.100", 80)
HAIRPIN = "-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE"


def test_six_connections_outward_count_six_packets_and_360_bytes(bed: Testbed) -> None:
    """Each SYN of 60 bytes leaves with the host's address; the packets after it are translated and not counted."""
    with bed.counting() as counting:
        talks = [bed.connect("web", ("203.0.113.10", 443), stack=LINUX) for _ in range(6)]
        handshakes = [talk.handshake() for talk in talks]
    for syn, syn_ack, ack in handshakes:
        asked = f"{syn.sent.from_} > 192.168.66.100:{syn.sent.source_port}"
        assert syn.translated == ack.translated == (f"source {asked}",)
        assert syn_ack.translated == (f"destination 192.168.66.100:{syn.sent.source_port} > {syn.sent.from_}",)
    assert (
        counting.result
        == """
        *filter
        :FORWARD DROP [0:0]
        [18:1032] -A FORWARD -j DOCKER-USER
        [18:1032] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
        [6:360] -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        [12:672] -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
        [12:672] -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
        [18:1032] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
        [12:672] -A DOCKER-ISOLATION-STAGE-2 -j RETURN
        [18:1032] -A DOCKER-USER -j RETURN
        *nat
        :PREROUTING ACCEPT [6:360]
        :POSTROUTING ACCEPT [0:0]
        [6:360] -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
        """
    )
    assert len(bed.connections()) == 6
    assert all(connection.reply.destination == "192.168.66.100" for connection in bed.connections())


def test_two_containers_ports_that_clash_are_told_apart(bed: Testbed) -> None:
    """The client's own connection uses a port that a masqueraded one wants: the kernel gives that one another."""
    clash = 41000
    bed.connect("client", PUBLISHED, port=clash).handshake()
    first = bed.connect("web", ("203.0.113.10", 443), port=clash).syn
    assert first.arrived is not None
    assert first.arrived.from_ == f"192.168.66.100:{clash}"
    assert len(bed.connections()) == 2


def test_the_hairpin_rule_counts_nothing_for_clients_outside(bed: Testbed) -> None:
    with bed.counting() as counting:
        bed.connect("client", PUBLISHED).handshake()
        bed.connect("web", ("203.0.113.10", 443)).handshake()
        asked_itself = bed.connect("web", PUBLISHED).syn
    assert counting.result.rule("nat", HAIRPIN).packets == 0
    assert not asked_itself.delivered  # with the userland proxy the host answers that, not the rules


def test_the_hairpin_rule_counts_a_container_that_calls_its_own_published_port(make_bed: MakeBed) -> None:
    """Without the userland proxy, with hairpin on its bridge port: it sees itself asked by the bridge's address."""
    bed = make_bed(article.HOST_WITHOUT_PROXY, article.rules_of(article.HOST_WITHOUT_PROXY))
    with bed.counting() as counting:
        syn, syn_ack, _ = bed.connect("web", PUBLISHED, port=42000).handshake()
    assert syn.translated == (
        "source 172.17.0.2:42000 > 172.17.0.1:42000",
        "destination 192.168.66.100:80 > 172.17.0.2:80",
    )
    assert syn_ack.translated == (
        "source 172.17.0.2:80 > 192.168.66.100:80",
        "destination 172.17.0.1:42000 > 172.17.0.2:42000",
    )
    assert str(counting.result.rule("nat", HAIRPIN)) == "[1:52]"
    assert str(counting.result.rule("filter", "-A FORWARD -i docker0 -o docker0 -j ACCEPT")) == "[1:52]"
