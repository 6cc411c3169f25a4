"""The third packet, and the table when the handshake is done."""

from testbed import LINUX, Testbed

PUBLISHED = ("192.168.66.100", 80)
AFTER_ACK = """
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
[3:144] -A FORWARD -j DOCKER-USER
[3:144] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
[1:40] -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
[1:52] -A FORWARD -o docker0 -j DOCKER
[1:52] -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
[0:0] -A FORWARD -i docker0 -o docker0 -j ACCEPT
[1:52] -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
[1:52] -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
[3:144] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
[0:0] -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
[1:52] -A DOCKER-ISOLATION-STAGE-2 -j RETURN
[3:144] -A DOCKER-USER -j RETURN
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


def test_the_table_after_the_ack(bed: Testbed) -> None:
    with bed.counting() as counting:
        talk = bed.connect("client", PUBLISHED)
        talk.syn_ack()
        talk.ack()
    assert counting.result == AFTER_ACK
    (connection,) = bed.connections()
    assert "ASSURED" in connection.status


def test_the_ack_alone_is_accepted_as_established_and_does_not_reach_docker(bed: Testbed) -> None:
    talk = bed.connect("client", PUBLISHED)
    talk.syn_ack()
    with bed.counting() as counting:
        ack = talk.ack()
    assert (
        counting.result
        == """
        *filter
        :FORWARD DROP [0:0]
        [1:40] -A FORWARD -j DOCKER-USER
        [1:40] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
        [1:40] -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        [1:40] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
        [1:40] -A DOCKER-USER -j RETURN
        *nat
        :PREROUTING ACCEPT [0:0]
        :POSTROUTING ACCEPT [0:0]
        """
    )
    assert ack.translated == ("destination 192.168.66.100:80 > 172.17.0.2:80",)


def test_a_linux_client_counts_the_same_packets_and_other_bytes(bed: Testbed) -> None:
    """Its SYN has 60 bytes, its ACK 52; so did a real engine 20.10 count for a real client."""
    with bed.counting() as counting:
        bed.connect("client", PUBLISHED, stack=LINUX).handshake()
    assert (
        counting.result
        == """
        *filter
        [3:172] -A FORWARD -j DOCKER-USER
        [3:172] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
        [1:52] -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        [1:60] -A FORWARD -o docker0 -j DOCKER
        [1:60] -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
        [1:60] -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
        [1:60] -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
        [3:172] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
        [1:60] -A DOCKER-ISOLATION-STAGE-2 -j RETURN
        [3:172] -A DOCKER-USER -j RETURN
        *nat
        [1:60] -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
        [1:60] -A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
        """
    )
