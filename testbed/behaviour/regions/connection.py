"""The packets that a witness needs before it: its connection, as far as the kind of packet asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address

from testbed.analysis.packets import ICMP, ICMPV6, LOCAL, TCP, WITH_PORTS
from testbed.analysis.plain import ExpectedEnd, PlainHeader, PlainPacket
from testbed.analysis.tracking import ANSWERS
from testbed.analysis.world import PacketKind
from testbed.bed import Testbed
from testbed.behaviour.regions.sending import Sent, WitnessSender
from testbed.behaviour.regions.wire import Numbers
from testbed.kernel.raw_sockets import listen_silently
from testbed.observe.journey import DROPPED, HookTraversal, Journey

_OF_FIRST, _OF_REPLY, _STEP, _QUERY = 100_000, 50_000, 1_000_000, 7  # sequence numbers, and an ICMP query's
_SYN, _ANSWER, _ACK = "S", "AS", "A"
_IP_HEADER = {4: 20, 6: 40}
_TCP_HEADER = 20


class NotBuilt(Exception):
    """The connection that a witness needs does not come about; the text says why."""


@dataclass(slots=True)
class _Sequence:
    """The next sequence number of each direction of a TCP connection."""

    first: int
    reply: int

    @classmethod
    def begin(cls, number: int) -> _Sequence:
        """Return the first numbers of a connection; others for each, so that no two resets of a kernel are equal."""
        return cls(_OF_FIRST + number * _STEP, _OF_REPLY + number * _STEP)

    def of(self, header: PlainHeader, backward: bool) -> Numbers:
        """Return the numbers of the next segment of a direction."""
        own, other = (self.reply, self.first) if backward else (self.first, self.reply)
        return Numbers(own, other if "A" in header.flags else 0, _QUERY)

    def sent(self, header: PlainHeader, backward: bool) -> None:
        if header.protocol != TCP:
            return
        size = header.length - _IP_HEADER[header.source.version] - _TCP_HEADER
        size += ("S" in header.flags) + ("F" in header.flags)
        if backward:
            self.reply += size
        else:
            self.first += size


class WitnessConnection:
    """Sends a witness through one bed, after the packets of its connection."""

    def __init__(self, sender: WitnessSender, witness: PlainPacket, number: int) -> None:
        """`number` distinguishes the connection from others of the bed, up to 4,000."""
        self._sender = sender
        self._witness = witness
        self._sequence = _Sequence.begin(number)
        self._isn = self._sequence.first
        self.earlier: list[Journey] = []

    def send(self) -> Journey | None:
        """Send the witness and return its journey; None if the kernel has no route for it. Raises NotBuilt."""
        first, later, kind = self._witness.first, self._witness.later, self._witness.kind
        if later is None:
            return self._packet(first, backward=False).journey
        begun = self._through(first, backward=False)
        if kind is PacketKind.REPEATED:
            if later.flags == _SYN:
                self._sequence.first = self._isn
            return self._packet(later, backward=False).journey
        reply = self._reply(begun)
        if kind is PacketKind.REPLY:
            return self._last_reply(first, later, reply)
        self._packet(reply, backward=True)
        if kind is PacketKind.LATER:
            if first.protocol == TCP and later.flags != _ACK:
                self._packet(replace(first, flags=_ACK), backward=False)
            return self._packet(later, backward=False).journey
        return self._error(first, later, kind, begun)

    def _last_reply(self, first: PlainHeader, later: PlainHeader, reply: PlainHeader) -> Journey | None:
        if first.protocol == TCP and later.flags != _ANSWER:
            self._packet(reply, backward=True)
            self._packet(replace(first, flags=_ACK), backward=False)
        turned = replace(later, source=reply.source, destination=reply.destination)
        if first.protocol in WITH_PORTS:
            turned = replace(turned, first=reply.first, second=reply.second)
        return self._packet(turned, backward=True).journey

    def _error(self, first: PlainHeader, later: PlainHeader, kind: PacketKind, begun: HookTraversal) -> Journey | None:
        """Send an ICMP error that quotes the first packet as it left the host, or a reply as it would have left."""
        if kind is PacketKind.ERROR:
            quoted = self._as_left(first, begun)
            later = replace(later, destination=quoted.source)
        else:
            quoted = _turned(first)
        size = later.length - _IP_HEADER[later.source.version] - 8
        data = self._sender.quoted(quoted, Numbers(self._isn, 0, _QUERY))[: max(size, 0)]
        return self._sender.send(later, Numbers(), data).journey

    def _through(self, header: PlainHeader, backward: bool) -> HookTraversal:
        """Send a packet that has to pass; return its last hook at the host."""
        sent = self._packet(header, backward)
        if sent.journey is None or sent.journey.end.kind == DROPPED:
            raise NotBuilt("the first packet of its connection does not pass")
        hooks = [hook for passed in sent.journey.passes if passed.node == self._sender.host for hook in passed.hooks]
        answers = sent.journey.answers
        if any("R" in answer.flags for answer in answers) or (answers and self._witness.kind is PacketKind.REPEATED):
            raise NotBuilt("a kernel answered the first packet of its connection at once")
        if not hooks or hooks[-1].after is None or hooks[-1].hook not in ("INPUT", "POSTROUTING", "EGRESS"):
            raise NotBuilt("the first packet of its connection does not pass")
        return hooks[-1]

    def _packet(self, header: PlainHeader, backward: bool) -> Sent:
        if not self._sender.can(header):
            raise NotBuilt(f"no node of the bed is behind {header.entered}")
        sent = self._sender.send(header, self._sequence.of(header, backward))
        self._sequence.sent(header, backward)
        if sent.journey is not None:
            self.earlier.append(sent.journey)
        return sent

    def _as_left(self, first: PlainHeader, begun: HookTraversal) -> PlainHeader:
        after = begun.after
        assert after is not None
        left = replace(first, source=ip_address(after.source), destination=ip_address(after.destination))
        if first.protocol in WITH_PORTS:
            left = replace(left, first=after.source_port, second=after.destination_port)
        return left

    def _reply(self, begun: HookTraversal) -> PlainHeader:
        """Return the plainest reply to the first packet as it left the host."""
        left = self._as_left(self._witness.first, begun)
        entered = LOCAL if begun.hook == "INPUT" else begun.left
        flags = "" if left.protocol != TCP else _ANSWER if _SYN in left.flags else _ACK
        return replace(_turned(left), entered=entered, flags=flags, ttl=64, bridged=False, mac=0)


def _turned(header: PlainHeader) -> PlainHeader:
    """Return a header with its ends exchanged; of an ICMP query the message that answers it."""
    turned = replace(header, source=header.destination, destination=header.source)
    if header.protocol in WITH_PORTS:
        return replace(turned, first=header.second, second=header.first)
    if header.protocol in (ICMP, ICMPV6):
        kind = header.first >> 8
        return replace(turned, first=ANSWERS.get(kind, kind) << 8, second=0)
    return turned


@contextmanager
def silent_ports(bed: Testbed, witness: PlainPacket, expected: ExpectedEnd) -> Iterator[None]:
    """Keep the host's kernel from resetting the witness's TCP connection, while the block runs.

    Listening sockets take each segment silently, behind the rules.
    """
    first = witness.first
    with ExitStack() as opened:
        if first.protocol == TCP and witness.later is not None:
            headers = [first, *([expected.header] if expected.header is not None else [])]
            for port in {port for header in headers for port in (header.first, header.second)} - {0}:
                if (listening := bed.host.run(listen_silently, port, first.source.version)) is not None:
                    opened.callback(listening.close)
        yield
