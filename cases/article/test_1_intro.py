"""The article's introduction: how many packets there are, and how often rules count them."""

from testbed import Testbed

PUBLISHED = ("192.168.66.100", 80)


def test_the_client_sends_two_packets_and_the_server_one(bed: Testbed) -> None:
    bed.endpoint("client")
    bed.connect("client", PUBLISHED).handshake()
    assert [packet.kind for packet in bed.received_by("web")] == ["SYN", "ACK"]
    assert [packet.kind for packet in bed.received_by("client")] == ["SYN/ACK"]


def test_every_rule_counts_none_one_or_three_of_them(bed: Testbed) -> None:
    with bed.counting() as counting:
        bed.connect("client", PUBLISHED).handshake()
    assert (
        counting.result
        == """
        *filter
        :INPUT ACCEPT [0:0]
        :FORWARD DROP [0:0]
        :OUTPUT ACCEPT [0:0]
        [3:144] -A FORWARD -j DOCKER-USER
        [3:144] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
        [1:40] -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        [1:52] -A FORWARD -o docker0 -j DOCKER
        [1:52] -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
        [1:52] -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
        [1:52] -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
        [3:144] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
        [1:52] -A DOCKER-ISOLATION-STAGE-2 -j RETURN
        [3:144] -A DOCKER-USER -j RETURN
        *nat
        :PREROUTING ACCEPT [0:0]
        :POSTROUTING ACCEPT [1:52]
        [1:52] -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
        [1:52] -A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
        """
    )
    assert {counters.packets for _, counters in counting.result.rules} == {0, 1, 3}


def test_the_server_answers_through_the_same_rules(bed: Testbed) -> None:
    """The three packets cross one router each, the host, and both translations are seen at the ends."""
    syn, syn_ack, ack = bed.connect("client", PUBLISHED, port=50123).handshake()
    assert syn.translated == ("destination 192.168.66.100:80 > 172.17.0.2:80",)
    assert syn_ack.translated == ("source 172.17.0.2:80 > 192.168.66.100:80",)
    assert ack.translated == ("destination 192.168.66.100:80 > 172.17.0.2:80",)
    assert [result.routers for result in (syn, syn_ack, ack)] == [1, 1, 1]
    assert all(result.arrived.good for result in (syn, syn_ack, ack) if result.arrived)
    (connection,) = bed.connections()
    assert str(connection.original) == "192.168.66.1:50123 > 192.168.66.100:80"
    assert str(connection.reply) == "172.17.0.2:80 > 192.168.66.1:50123"
    assert connection.state == "ESTABLISHED"
