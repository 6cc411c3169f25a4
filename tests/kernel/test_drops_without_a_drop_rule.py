"""Packets that a rule takes away without DROP: queues and proxies without a program, and SYNPROXY."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed import Testbed
from testbed.docker import article
from testbed.kernel import netlink, nfnetlink
from testbed.observe.journey import DROPPED, LOCAL_INPUT, Journey
from testbed.pytest_plugin import MakeBed
from testbed.rules import rulefile
from testbed.traffic.layers import IP, TCP

RULES = Path(__file__).parent.parent / "data" / "journeys"
HOST, WEB, CLIENT = "192.168.66.100", "172.17.0.2", "192.168.66.1"
_QUEUE_CONFIG, _COMMAND, _BIND = 3 << 8 | 2, 1, 1  # include/uapi/linux/netfilter/nfnetlink_queue.h


def journey_of(bed: Testbed, port: int, to: str = HOST) -> Journey:
    packet = IP(src=CLIENT, dst=to) / TCP(sport=bed.free_port(), dport=port, flags="S")
    with bed.tracing() as tracing:
        return tracing.journey(bed.send(packet, "client", via=HOST))


@contextmanager
def reader_of_queue(bed: Testbed, number: int) -> Iterator[None]:
    """A program that reads a queue and lets no packet go on."""
    opened = bed.host.run(nfnetlink.open_socket)
    command = netlink.attribute(_COMMAND, struct.pack("!BBH", _BIND, 0, socket.AF_INET))
    content = struct.pack("!BBH", socket.AF_UNSPEC, 0, number) + command
    opened.send(netlink.message(_QUEUE_CONFIG, 0x1 | 0x4, content))
    (answer,) = [struct.unpack_from("=i", body)[0] for _, _, body in netlink.messages(opened.recv(1 << 16))]
    assert answer == 0, os.strerror(-answer)
    yield
    opened.close()


def test_a_queue_that_no_program_reads_is_the_drop(make_bed: MakeBed) -> None:
    bed = make_bed(article.HOST, rulefile.read(RULES / "nfqueue.rules"))
    end = journey_of(bed, 80).end
    assert (end.kind, end.by) == (DROPPED, "filter -A DOCKER-USER -j NFQUEUE --queue-num 5")
    assert end.why == "no program reads queue 5"


def test_a_queue_that_a_program_reads_is_not_called_unread(make_bed: MakeBed) -> None:
    bed = make_bed(article.HOST, rulefile.read(RULES / "nfqueue.rules"))
    with reader_of_queue(bed, 5):
        end = journey_of(bed, 80).end
    assert end.why == "the program that reads queue 5 has not let it go on"


def test_a_queue_with_bypass_lets_the_packet_go_on(make_bed: MakeBed) -> None:
    rules = (RULES / "nfqueue.rules").read_text().replace("--queue-num 5", "--queue-num 5 --queue-bypass")
    journey = journey_of(make_bed(article.HOST, rulefile.parse(rules)), 80)
    assert journey.end.place == "delivered to web"
    assert "-A DOCKER-USER -j NFQUEUE --queue-num 5 --queue-bypass" in journey


def test_a_proxy_without_a_listener_is_the_drop(make_bed: MakeBed) -> None:
    end = journey_of(make_bed(article.HOST, rulefile.read(RULES / "tproxy.rules")), 80).end
    assert (end.kind, end.where) == (DROPPED, "host")
    assert "-j TPROXY" in end.by
    assert end.why == "no program listens on port 3128 of the proxy"


@pytest.mark.parametrize("name", ["synproxy.rules", "synproxy.nft"])
def test_synproxy_answers_itself(make_bed: MakeBed, name: str) -> None:
    journey = journey_of(make_bed(article.HOST, rulefile.read(RULES / name)), 443)
    assert (journey.end.kind, journey.end.where) == (LOCAL_INPUT, "host")
    assert "synproxy" in journey.end.by.lower()
    assert journey.end.why == "answered by SYN/ACK from 192.168.66.100:443"
