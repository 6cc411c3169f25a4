"""TCP, one packet at a time: both endpoints are scripted, so that counters can be read between any two packets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from testbed.errors import NotDelivered, TestbedError
from testbed.rules.reading import CounterReading
from testbed.traffic.endpoint import Endpoint
from testbed.traffic.layers import IP, TCP, IPv6
from testbed.traffic.packet import Crossing, Packet


@dataclass(frozen=True, slots=True)
class Stack:
    """The TCP characteristics of a client's operating system: the options of its SYN, its window, its TTL.

    With `timestamps` every packet carries them (12 bytes), also the server's packets.
    """

    name: str
    ttl: int
    window: int
    timestamps: bool

    def options(self, syn: bool, stamp: int, echo: int) -> list[tuple[str, Any]]:
        """Return the options of a packet, in the order of that system."""
        if not syn:
            return [("NOP", None), ("NOP", None), ("Timestamp", (stamp, echo))] if self.timestamps else []
        if self.timestamps:
            return [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (stamp, echo)), ("NOP", None), ("WScale", 7)]
        return [("MSS", 1460), ("NOP", None), ("WScale", 8), ("NOP", None), ("NOP", None), ("SAckOK", b"")]


WINDOWS = Stack("windows", ttl=128, window=64240, timestamps=False)  # SYN of 52 bytes, ACK of 40
LINUX = Stack("linux", ttl=64, window=64240, timestamps=True)  # SYN of 60 bytes, ACK of 52
STACKS = {stack.name: stack for stack in (WINDOWS, LINUX)}

_MODULO = 1 << 32


class _End:
    """One side of a connection: its peer, and its sequence and acknowledgement numbers."""

    def __init__(self, endpoint: Endpoint, address: str, port: int, seq: int, ttl: int) -> None:
        self.endpoint = endpoint
        self.address, self.port = address, port
        self.peer, self.peer_port = "", 0
        self.seq, self.ack = seq, 0
        self.ttl = ttl
        self.stamp = seq
        self.echo = 0


class TcpConversation:
    """A TCP connection between two scripted endpoints, packet by packet.

    Each step sends one packet and returns its result, delivered or not. A step that needs an earlier packet raises
    NotDelivered if that did not arrive; the error has the counters since the conversation began. The server answers to
    the source address that it saw, so translations show in every result.
    """

    def __init__(
        self,
        client: Endpoint,
        server: Endpoint,
        to: tuple[str, int],
        port: int,
        stack: Stack,
        cross: Callable[[Packet, Endpoint], Crossing],
        counters: Callable[[], CounterReading],
        server_port: int | None = None,
        via: str | None = None,
    ) -> None:
        self._client = _End(client, client.address_towards(to[0]), port, seq=1_000_000 + port, ttl=stack.ttl)
        self._client.peer, self._client.peer_port = to
        self._server = _End(server, server.address_towards(to[0]), server_port or to[1], seq=5_000_000 + port, ttl=64)
        self._stack = stack
        self._cross = cross
        self._counters = counters
        self._before = counters()
        self._via = via
        self.crossings: list[Crossing] = []

    def syn(self) -> Crossing:
        """Send the client's SYN; a second call before an answer sends the same SYN again, as a retransmission."""
        self._client.seq = 1_000_000 + self._client.port
        crossing = self._send(self._client, self._server, "S")
        if (seen := crossing.arrived) is not None:
            server = self._server
            server.address, server.port = seen.destination, seen.destination_port
            server.peer, server.peer_port = seen.source, seen.source_port
        return crossing

    def syn_ack(self) -> Crossing:
        """Send the server's SYN/ACK."""
        return self._send(self._server, self._client, "SA")

    def answered_by(self, server: Endpoint, asked: Packet) -> None:
        """Make another endpoint the server: the one at which the client's SYN arrived."""
        self._server = _End(server, asked.destination, asked.destination_port, seq=self._server.seq, ttl=64)
        self._server.peer, self._server.peer_port = asked.source, asked.source_port
        self._server.ack = (asked.seq + 1) % _MODULO
        self._server.echo = asked.timestamp
        self.crossings[-1] = Crossing(self.crossings[-1].sent, asked)

    def ack(self, by: str = "client") -> Crossing:
        """Send a bare acknowledgement; the client's first is the third packet of the handshake."""
        return self._send(*self._sides(by), "A")

    def fin(self, by: str = "client") -> Crossing:
        """Send a FIN/ACK from one side."""
        return self._send(*self._sides(by), "FA")

    @property
    def handshake_steps(self) -> tuple[Callable[[], Crossing], ...]:
        """The packets of a handshake; each call sends one."""
        return self.syn, self.syn_ack, self.ack

    def close_steps(self, by: str = "client") -> tuple[Callable[[], Crossing], ...]:
        """Return the packets of a close; each call sends one."""
        other = "server" if by == "client" else "client"
        return (
            lambda: self.fin(by),
            lambda: self.ack(other),
            lambda: self.fin(other),
            lambda: self.ack(by),
        )

    def handshake(self) -> tuple[Crossing, ...]:
        """Send SYN, SYN/ACK, ACK; raises NotDelivered when one of them is lost."""
        __tracebackhide__ = True  # pytest shows the line of the test
        return self._all(*self.handshake_steps)

    def send(self, data: bytes, by: str = "client") -> tuple[Crossing, ...]:
        """Send data from one side and its acknowledgement from the other; raises NotDelivered when one is lost."""
        __tracebackhide__ = True
        sender, receiver = self._sides(by)
        return self._all(
            lambda: self._send(sender, receiver, "PA", data),
            lambda: self._send(receiver, sender, "A"),
        )

    def close(self, by: str = "client") -> tuple[Crossing, ...]:
        """Send FIN and its ACK in each direction, begun by one side; raises NotDelivered when one of them is lost."""
        __tracebackhide__ = True
        return self._all(*self.close_steps(by))

    def reset(self, by: str = "client") -> Crossing:
        """Abort the connection from one side (RST/ACK)."""
        return self._send(*self._sides(by), "RA")

    def _sides(self, by: str) -> tuple[_End, _End]:
        if by not in ("client", "server"):
            raise TestbedError(f"a connection has a client and a server, no {by}.")
        return (self._client, self._server) if by == "client" else (self._server, self._client)

    def _all(self, *steps: Callable[[], Crossing]) -> tuple[Crossing, ...]:
        __tracebackhide__ = True
        made = []
        for step in steps:
            made.append(step())
            self._require(made[-1])
        return tuple(made)

    def _require(self, crossing: Crossing) -> None:
        __tracebackhide__ = True
        if not crossing.delivered:
            counted = self._counters() - self._before
            raise NotDelivered(f"{crossing}. Since the conversation began the rules have counted:\n{counted!r}")

    def _send(self, sender: _End, receiver: _End, flags: str, data: bytes = b"") -> Crossing:
        __tracebackhide__ = True
        if flags != "S" and self.crossings:
            self._require(self.crossings[-1])
        if not sender.peer:
            raise TestbedError(f"{sender.endpoint.node} has not received a packet yet, so it has none to answer.")
        sent = sender.endpoint.send(self._packet(sender, flags, data), self._via if sender is self._client else None)
        sender.seq = (sender.seq + len(data) + ("S" in flags or "F" in flags)) % _MODULO
        crossing = self._cross(sent, receiver.endpoint)
        if (arrived := crossing.arrived) is not None:
            receiver.ack = (arrived.seq + len(data) + ("S" in flags or "F" in flags)) % _MODULO
            receiver.echo = arrived.timestamp
        self.crossings.append(crossing)
        return crossing

    def _packet(self, sender: _End, flags: str, data: bytes) -> Any:
        sender.stamp += 1
        segment = TCP(
            sport=sender.port,
            dport=sender.peer_port,
            flags=flags,
            seq=sender.seq,
            ack=sender.ack if "A" in flags else 0,
            window=self._stack.window,
            options=self._stack.options("S" in flags, sender.stamp, sender.echo),
        )
        if ":" in sender.peer:
            return IPv6(src=sender.address, dst=sender.peer, hlim=sender.ttl) / segment / data
        return IP(src=sender.address, dst=sender.peer, ttl=sender.ttl, flags="DF") / segment / data
