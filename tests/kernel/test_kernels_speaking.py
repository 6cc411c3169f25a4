"""Nodes' own kernels: connections asked for, echo requests, the userland proxy."""

from __future__ import annotations

import errno
import os

import pytest

from testbed import DockerHost, Testbed
from testbed.docker import article, hostfile
from testbed.docker.engines import engine
from testbed.errors import KernelRefused
from testbed.pytest_plugin import MakeBed

HOST = "192.168.66.100"
PORTS = hostfile.parse(
    "services:\n"
    "  web: {network_mode: bridge, ports: ['8080:80', '127.0.0.1:9000:90', '5353:53/udp']}\n"
    "  other: {network_mode: bridge}\n"
)


@pytest.fixture
def bed(make_bed: MakeBed) -> Testbed:
    return make_bed(article.topology_with_kernels(PORTS), rules=engine("28").rules(PORTS))


def test_a_connection_is_open_refused_or_unanswered_and_that_is_known_at_once(bed: Testbed) -> None:
    bed.load(bed.ruleset().insert("filter", "DOCKER-USER", "-p tcp -m tcp --dport 81 -j DROP"))
    with bed.kernel("web").listen(80):
        for to, outcome in (((HOST, 8080), "open"), ((HOST, 22), "refused")):
            with bed.connect_from_kernel("client", to) as attempt:
                assert attempt.outcome == outcome
        with bed.connect_from_kernel("web", ("203.0.113.10", 81)) as attempt:
            assert attempt.outcome == "no answer"


def test_what_a_node_has_no_way_to_is_said_in_the_kernels_words(bed: Testbed) -> None:
    bed.node("web").command(["ip", "route", "del", "default"])
    with bed.connect_from_kernel("web", ("203.0.113.10", 80)) as attempt:
        assert attempt.outcome == os.strerror(errno.ENETUNREACH)


def test_an_echo_request_is_answered_or_not(bed: Testbed) -> None:
    assert bed.ping("client", HOST)
    assert bed.ping("web", "203.0.113.10")
    bed.load(bed.ruleset().insert("filter", "INPUT", "-p icmp -j DROP"))
    with bed.counting() as counting:
        assert not bed.ping("client", HOST)
    assert str(counting.result.rule("filter", "-A INPUT -p icmp -j DROP")) == "[1:84]"


@pytest.mark.parametrize(("protocol", "length"), [("icmp", 84), ("udp", 36), ("tcp", 60)])
def test_a_question_that_the_nodes_own_rules_drop_is_asked_in_vain(bed: Testbed, protocol: str, length: int) -> None:
    """The kernel refuses to send it then (EPERM), which is no error of who asks."""
    bed.load(bed.ruleset().insert("filter", "OUTPUT", "-j DROP"))
    with bed.counting() as counting:
        bed.send_from_kernel("host", protocol, ("172.17.0.2", 80))
    assert str(counting.result.rule("filter", "-A OUTPUT -j DROP")) == f"[1:{length}]"
    assert not bed.ping("host", "172.17.0.2")


@pytest.mark.parametrize(
    ("origin", "to", "port"),
    [("host", ("127.0.0.1", 8080), 80), ("host", ("127.0.0.1", 9000), 90), ("other", (HOST, 8080), 80)],
)
def test_the_userland_proxy_relays_what_no_rule_translates(
    bed: Testbed, origin: str, to: tuple[str, int], port: int
) -> None:
    """The container sees the bridge's address: the proxy has a connection of its own to it."""
    with bed.userland_proxy(PORTS), bed.kernel("web").listen(port) as listening:
        with bed.kernel(origin).connect(*to) as asking:
            answering, peer = listening.accept()
            asking.sendall(b"hello")
            assert answering.recv(100) == b"hello"
            answering.sendall(b"there")
            assert asking.recv(100) == b"there"
            assert peer[0] == "172.17.0.1"
        assert answering.recv(100) == b""
        answering.close()


def test_the_userland_proxy_relays_datagrams_and_their_answers(bed: Testbed) -> None:
    with bed.userland_proxy(PORTS), bed.kernel("web").udp() as answering, bed.kernel("host").udp() as asking:
        answering.bind(("0.0.0.0", 53))
        for number in range(3):
            asking.sendto(b"%d" % number, ("127.0.0.1", 5353))
            data, asker = answering.recvfrom(100)
            answering.sendto(data * 2, asker)
            assert asking.recv(100) == b"%d" % number * 2
            assert asker[0] == "172.17.0.1"


def test_without_the_proxy_nobody_is_there(bed: Testbed) -> None:
    with bed.kernel("web").listen(80), bed.connect_from_kernel("host", ("127.0.0.1", 8080)) as attempt:
        assert attempt.outcome == "refused"


def test_a_port_of_the_host_that_is_in_use_is_said(bed: Testbed) -> None:
    with (
        bed.kernel("host").listen(8080),
        pytest.raises(KernelRefused, match=r"relay\.py has ended"),
        bed.userland_proxy(PORTS),
    ):
        raise AssertionError("it listens all the same")


def test_a_host_without_published_ports_has_a_proxy_with_nothing_to_do(make_bed: MakeBed) -> None:
    empty: DockerHost = hostfile.parse("services: {web: {network_mode: bridge}}")
    bed = make_bed(article.topology_with_kernels(empty), rules=engine("28").rules(empty))
    with bed.userland_proxy(empty):
        assert bed.ping("client", HOST)
