"""A question to a rule set: its sender, packet and destination, and the length of the conversation."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from testbed.bed import Testbed
from testbed.observe.journey import DELIVERED, Journey
from testbed.observe.packet_result import PacketResult
from testbed.traffic.layers import ICMP, IP, UDP, ICMPv6EchoRequest, IPv6
from testbed.traffic.tcp import Stack

TCP, UDP_, ICMP_ = "tcp", "udp", "icmp"
PROTOCOLS = (TCP, UDP_, ICMP_)
Talk = Generator[PacketResult, Journey, None]


@dataclass(frozen=True, slots=True)
class Question:
    """A packet from a node to an address and a port (0: none); `via` is the router, None for the node's own.

    `port` is the sender's; None means a free one. `packets` is the number of packets sent. In TCP it is 1 for the SYN,
    3 for the handshake, 7 with the close. In other protocols it is 1, or more for the answer too.
    """

    origin: str
    address: str
    to_port: int
    protocol: str = TCP
    port: int | None = None
    via: str | None = None
    packets: int = 1


def talk(bed: Testbed, question: Question, stack: Stack) -> Talk:
    """Yield the packets of a question, each sent when the previous journey is known; ends after a lost packet."""
    if question.protocol == TCP:
        yield from _tcp(bed, question, stack)
    else:
        yield from _datagram(bed, question)


def _tcp(bed: Testbed, question: Question, stack: Stack) -> Talk:
    to = question.address, question.to_port
    connection = bed.connect(question.origin, to, stack=stack, port=question.port, via=question.via)
    journey = yield connection.syn
    if journey.end.kind != DELIVERED:
        return
    steps = (*connection.handshake_steps, *connection.close_steps())
    for step in steps[: question.packets - 1]:
        result = step()
        yield result
        if not result.delivered:
            return


def _datagram(bed: Testbed, question: Question) -> Talk:
    source = bed.endpoint(question.origin).address_towards(question.address)
    sport = question.port or bed.free_port()
    asked = _ip(source, question.address) / _contents(question.protocol, sport, question.to_port, source)
    journey = yield bed.send(asked, question.origin, via=question.via)
    if question.packets == 1 or journey.arrived is None:
        return
    seen = journey.arrived
    if question.protocol == UDP_:
        back: Any = UDP(sport=seen.destination_port, dport=seen.source_port) / b"answer"
    else:
        back = _echo(source, reply=True, number=sport)
    yield bed.send(_ip(seen.destination, seen.source) / back, journey.end.where)


def _contents(protocol: str, sport: int, dport: int, source: str) -> Any:
    return UDP(sport=sport, dport=dport) / b"question" if protocol == UDP_ else _echo(source, False, sport)


def _echo(address: str, reply: bool, number: int) -> Any:
    if ":" in address:
        return ICMPv6EchoRequest(type=129 if reply else 128, id=number, seq=1, data=bytes(56))
    return ICMP(type=0 if reply else 8, id=number, seq=1) / bytes(56)


def _ip(source: str, destination: str) -> Any:
    return IPv6(src=source, dst=destination) if ":" in destination else IP(src=source, dst=destination)
