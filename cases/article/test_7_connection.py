"""The whole connection, opened and closed without data: the byte column of the article's listings."""

from testbed import Testbed

PUBLISHED = ("192.168.66.100", 80)


def test_the_byte_column_is_that_of_one_connection(bed: Testbed) -> None:
    """Seven packets: SYN and SYN/ACK of 52 bytes, then five of 40. 304, 304, 120, 52, 132 bytes; DNAT 52."""
    with bed.counting() as counting:
        talk = bed.connect("client", PUBLISHED)
        packets = (*talk.handshake(), *talk.close())
    assert [result.sent.length for result in packets] == [52, 52, 40, 40, 40, 40, 40]
    assert (
        counting.result
        == """
        *filter
        :FORWARD DROP [0:0]
        [7:304] -A FORWARD -j DOCKER-USER
        [7:304] -A FORWARD -j DOCKER-ISOLATION-STAGE-1
        [3:120] -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        [1:52] -A FORWARD -o docker0 -j DOCKER
        [3:132] -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
        [1:52] -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
        [3:132] -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
        [7:304] -A DOCKER-ISOLATION-STAGE-1 -j RETURN
        [3:132] -A DOCKER-ISOLATION-STAGE-2 -j RETURN
        [7:304] -A DOCKER-USER -j RETURN
        *nat
        :PREROUTING ACCEPT [0:0]
        :POSTROUTING ACCEPT [1:52]
        [1:52] -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
        [1:52] -A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
        """
    )


def test_the_server_may_close_first_without_changing_the_sum(bed: Testbed) -> None:
    with bed.counting() as counting:
        talk = bed.connect("client", PUBLISHED)
        talk.handshake()
        talk.close(by="server")
    assert str(counting.result.rule("filter", "-A FORWARD -j DOCKER-USER")) == "[7:304]"
    assert str(counting.result.rule("filter", "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT")) == "[3:132]"


def test_data_crosses_in_both_directions(bed: Testbed) -> None:
    """A request and an answer, each acknowledged: rule 3 counts what goes in, rule 5 what comes out."""
    request, answer = b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\nhello"
    talk = bed.connect("client", PUBLISHED)
    talk.handshake()
    with bed.counting() as counting:
        asked, _ = talk.send(request)
        answered, _ = talk.send(answer, by="server")
    assert asked.arrived is not None
    assert answered.arrived is not None
    assert (asked.arrived.payload, answered.arrived.payload) == (request, answer)
    inward = counting.result.rule(
        "filter", "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    )
    outward = counting.result.rule("filter", "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT")
    assert (inward.packets, inward.bytes) == (2, 80 + len(request))
    assert (outward.packets, outward.bytes) == (2, 80 + len(answer))


def test_a_reset_ends_the_connection(bed: Testbed) -> None:
    talk = bed.connect("client", PUBLISHED)
    talk.handshake()
    with bed.counting() as counting:
        reset = talk.reset()
    assert reset.delivered
    (connection,) = bed.connections()
    assert connection.state == "CLOSE"
    established = "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    assert str(counting.result.rule("filter", established)) == "[1:40]"
