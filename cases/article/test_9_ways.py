"""The way of each of the three packets, rule by rule, as the kernel's own trace tells it."""

from testbed import Testbed

PUBLISHED = ("192.168.66.100", 80)

WAY_OF_THE_SYN = """
*nat
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
destination 192.168.66.100:80 > 172.17.0.2:80
*filter
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -j RETURN
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A FORWARD -o docker0 -j DOCKER
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
delivered to web
"""
WAY_OF_THE_SYN_ACK = """
*filter
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -j RETURN
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
source 172.17.0.2:80 > 192.168.66.100:80
delivered to client
"""
WAY_OF_THE_ACK = """
destination 192.168.66.100:80 > 172.17.0.2:80
*filter
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -j RETURN
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
delivered to web
"""


def test_the_three_packets_go_just_these_ways(bed: Testbed) -> None:
    with bed.tracing() as tracing:
        talk = bed.connect("client", PUBLISHED)
        syn, syn_ack, ack = (tracing.journey(packet) for packet in talk.handshake())
    assert syn == WAY_OF_THE_SYN
    assert syn_ack == WAY_OF_THE_SYN_ACK
    assert ack == WAY_OF_THE_ACK


def test_what_each_packet_was_asked_and_why_it_did_not_match(bed: Testbed) -> None:
    with bed.tracing() as tracing:
        talk = bed.connect("client", PUBLISHED)
        syn, syn_ack, ack = (tracing.journey(packet) for packet in talk.handshake())
    established = "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    assert syn.failing_clauses == {
        "-A DOCKER -i docker0 -j RETURN": "-i docker0",
        "-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2": "-i docker0",
        established: "--ctstate RELATED,ESTABLISHED",
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE": "-s 172.17.0.0/16",
        "-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE": "-s 172.17.0.2/32",
    }
    assert syn_ack.failing_clauses == {
        "-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP": "-o docker0",
        established: "-o docker0",
        "-A FORWARD -o docker0 -j DOCKER": "-o docker0",
    }
    assert ack.failing_clauses == {
        "-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2": "-i docker0",
    }


def test_the_source_of_the_reply_is_put_back_in_postrouting(bed: Testbed) -> None:
    with bed.tracing() as tracing:
        _, result, _ = bed.connect("client", PUBLISHED).handshake()
        syn_ack = tracing.journey(result)
    seen = {hook.hook: hook.header.from_ for _, hook in syn_ack.hooks}
    assert seen == dict.fromkeys(("PREROUTING", "FORWARD", "POSTROUTING"), "172.17.0.2:80")
    assert {hook.hook: hook.translations for _, hook in syn_ack.hooks if hook.translations} == {
        "POSTROUTING": ("source 172.17.0.2:80 > 192.168.66.100:80",)
    }


def test_the_reply_is_established_at_every_hook_and_asks_no_nat_chain(bed: Testbed) -> None:
    with bed.tracing() as tracing:
        _, result, _ = bed.connect("client", PUBLISHED).handshake()
        syn_ack = tracing.journey(result)
    assert [(hook.hook, hook.state, hook.reply, hook.skipped_nat_chains) for _, hook in syn_ack.hooks] == [
        ("PREROUTING", "ESTABLISHED", True, ("nat PREROUTING",)),
        ("FORWARD", "ESTABLISHED", True, ()),
        ("POSTROUTING", "ESTABLISHED", True, ("nat POSTROUTING",)),
    ]
