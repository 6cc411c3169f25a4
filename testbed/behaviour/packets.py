"""The packets of probes: questions and answers of scripted endpoints, and questions that the host's kernel sends."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from testbed.bed import Testbed
from testbed.behaviour.probes import ICMP, INVALID, NEW, STRAY, TCP, UDP, Probe
from testbed.kernel import receiving
from testbed.kernel.packets import on_cpu
from testbed.observe.header import TracedHeader
from testbed.traffic import template
from testbed.traffic.packet import Packet
from testbed.traffic.template import Form

# No two kinds of packets have the same length, so that a number that a kernel chose at random cannot make one look
# like another. Scripted questions have no contents, and a kernel's echo reply repeats the contents of its request.
_QUESTION, _ECHOED, _AGREED = b"question", bytes(4), bytes(12)
_FORMS = {
    (TCP, NEW): "tcp S",
    (TCP, INVALID): "tcp SF",
    (TCP, STRAY): "tcp A",
    (UDP, NEW): "udp",
    (ICMP, NEW): "echo",
}
_ANSWERS = {TCP: "tcp SA", UDP: "udp", ICMP: "echo reply"}
# Errors of a socket that did send: the packet was dropped in the output path, or an answer has come already.
_ASKED = (errno.EPERM, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ECONNRESET)
_AT_ONCE = struct.pack("=ii", 1, 0)  # struct linger: closing a connection resets it, and nothing is sent later


@dataclass(frozen=True, slots=True)
class Spoken:
    """The socket by which a kernel sends a question; `refused`: it sent nothing, since it has no route."""

    opened: socket.socket
    refused: bool


def question(bed: Testbed, probe: Probe, number: int) -> tuple[bytes, str | None]:
    """Return the question as bytes, and the router that gets it; None: by the sender's routes.

    `number` is its source port or echo identifier, which identifies the flow.
    """
    end = bed.endpoint(probe.origin)
    data = template.build(
        Form(_FORMS[probe.protocol, probe.state], _version(probe.address)),
        probe.source or end.address_towards(probe.address),
        probe.address,
        (number, probe.port),
        end.identification(),
        seq=number,  # distinguishes a kernel's answers from each other
        echo=number,
    )
    return data, str(end.kernel_beside) if probe.direct else None


def answer(bed: Testbed, probe: Probe, number: int, node: str, seen: TracedHeader | Packet) -> bytes:
    """Return the positive answer of the endpoint that received the question, to the question as it arrived."""
    return template.build(
        Form(_ANSWERS[probe.protocol], _version(seen.source)),
        seen.destination,
        seen.source,
        (seen.destination_port, seen.source_port),
        bed.endpoint(node).identification(),
        seq=number,
        ack=seen.seq + 1,
        echo=seen.echo or 0,
        contents=b"" if probe.protocol == TCP else _AGREED,
    )


def error(bed: Testbed, node: str, seen: TracedHeader, data: bytes) -> bytes:
    """Return the endpoint's `port unreachable` error; `data` is the question as it arrived."""
    form, number = Form("error", _version(seen.source)), bed.endpoint(node).identification()
    return template.build(form, seen.destination, seen.source, (0, 0), number, contents=data)


def speak(asked: Sequence[tuple[Probe, int]], cpu: int) -> list[Spoken]:
    """Send the questions from the kernel of the calling thread's namespace; return the sockets to be kept."""
    with on_cpu(cpu):
        spoken = []
        for probe, number in asked:
            spoken.append(_asking(probe, number))
            receiving.read_waiting()
        return spoken


def hang_up(opened: Iterable[socket.socket], cpu: int) -> None:
    """Close the sockets so that the kernel sends nothing later."""
    with on_cpu(cpu):
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
    except BlockingIOError:  # the connection attempt is in progress
        pass
    except OSError as error:
        return Spoken(opened, error.errno not in _ASKED)
    return Spoken(opened, False)


def _echo(six: bool, number: int) -> bytes:
    """Return an echo request without its IP header; the kernel computes the checksum of ICMPv6 (RFC 3542, 3.1)."""
    source, destination = ("::", "::") if six else ("0.0.0.0", "0.0.0.0")
    asked = template.build(Form("echo", 6 if six else 4), source, destination, (0, 0), 0, echo=number, contents=_ECHOED)
    return asked[40 if six else 20 :]


def _version(address: str) -> int:
    return 6 if ":" in address else 4
