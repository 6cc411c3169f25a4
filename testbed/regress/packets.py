"""The packets of probes: what scripts send, what they answer, and what the host's own kernel is told to ask."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from testbed.bed import Testbed
from testbed.kernel.packets import on_cpu
from testbed.observe.header import Header
from testbed.regress.probes import ICMP, INVALID, NEW, RELATED, STRAY, TCP, UDP, Probe
from testbed.topology import Port
from testbed.traffic import layers, template
from testbed.traffic.template import Form

_QUESTION = b"question"
_FORMS = {
    (TCP, NEW): "tcp S",
    (TCP, RELATED): "tcp S",
    (TCP, INVALID): "tcp SF",
    (TCP, STRAY): "tcp A",
    (UDP, NEW): "udp",
    (UDP, RELATED): "udp",
    (ICMP, NEW): "echo",
}
_ANSWERS = {TCP: "tcp SA", UDP: "udp", ICMP: "echo reply"}
# What the kernel says although it asked: the packet was dropped on its way out, or an answer is there already.
_ASKED = (errno.EPERM, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ECONNRESET)
_AT_ONCE = struct.pack("=ii", 1, 0)  # struct linger: a connection that is closed ends by a reset, and is over


@dataclass(frozen=True, slots=True)
class Spoken:
    """The socket by which a kernel asked; `refused`: it did not, since it has no way there."""

    opened: socket.socket
    refused: bool


def question(bed: Testbed, probe: Probe, number: int) -> tuple[bytes, str | None]:
    """The packet that asks, and by which router it goes, None: the sender's routes say it.

    `number` is its source port or echo identifier, by which it is known.
    """
    end = bed.endpoint(probe.origin)
    data = template.build(
        Form(_FORMS[probe.protocol, probe.state], _version(probe.address)),
        probe.source or end.address_towards(probe.address),
        probe.address,
        (number, probe.port),
        end.identification(),
        seq=number,  # so that what a kernel answers can be told from its other answers
        echo=number,
    )
    return data, _beside(bed, probe.origin) if probe.direct else None


def answer(bed: Testbed, probe: Probe, number: int, node: str, seen: Header, data: bytes) -> bytes:
    """What the end says to which a question came: that it agrees, or, where that is asked, that nobody listens."""
    kind = "error" if probe.state == RELATED else _ANSWERS[probe.protocol]
    return template.build(
        Form(kind, _version(seen.source)),
        seen.destination,
        seen.source,
        (seen.destination_port, seen.source_port),
        bed.endpoint(node).identification(),
        seq=number,
        ack=seen.seq + 1,
        echo=seen.echo or 0,
        contents=data if kind == "error" else b"",
    )


def speak(asked: Sequence[tuple[Probe, int]], cpu: int) -> list[Spoken]:
    """Have the kernel of the calling thread's namespace ask; sockets are to be kept until answers have come."""
    with on_cpu(cpu):
        return [_asking(probe, number) for probe, number in asked]


def hang_up(opened: Iterable[socket.socket]) -> None:
    """Close them, with nothing left that would be sent later."""
    for one in opened:
        if one.type == socket.SOCK_STREAM:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        one.close()


def _asking(probe: Probe, number: int) -> Spoken:
    six = _version(probe.address) == 6
    family = socket.AF_INET6 if six else socket.AF_INET
    if probe.protocol == ICMP:
        opened = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
    else:
        opened = socket.socket(family, socket.SOCK_STREAM if probe.protocol == TCP else socket.SOCK_DGRAM)
        opened.bind(("::" if six else "0.0.0.0", number))
    opened.setblocking(False)
    try:
        opened.connect((probe.address, probe.port))
        if probe.protocol != TCP:
            opened.send(_echo(six, number) if probe.protocol == ICMP else _QUESTION)
    except BlockingIOError:  # it is asking
        pass
    except OSError as error:
        return Spoken(opened, error.errno not in _ASKED)
    return Spoken(opened, False)


def _echo(six: bool, number: int) -> bytes:
    """An echo request as the host's own kernel sends it; it makes the sum of IPv6's itself (RFC 3542, 3.1)."""
    return bytes(layers.ICMPv6EchoRequest(id=number, seq=1) if six else layers.ICMP(type=8, id=number, seq=1))


def _beside(bed: Testbed, node: str) -> str:
    """The host's address on the segment of a node's first interface."""
    return str(bed.topology.nearest_kernel(Port(node, bed.topology.node(node).interfaces[0].name)))


def _version(address: str) -> int:
    return 6 if ":" in address else 4
