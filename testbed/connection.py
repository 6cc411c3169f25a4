"""A TCP connection packet by packet: both endpoints are scripted, so counters can be read between any two packets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from testbed.errors import NotDelivered, TestbedError
from testbed.observe.packet_result import PacketResult
from testbed.traffic.endpoint import Arrival, Endpoint
from testbed.traffic.layers import IP, TCP, IPv6
from testbed.traffic.tcp import Stack

_MODULO = 1 << 32


class Transmit(Protocol):
    """Sends a packet from an endpoint and returns its result."""

    def __call__(self, endpoint: Endpoint, packet: Any, via: str | None, /) -> PacketResult: ...


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


class TcpConnection:
    """A TCP connection from a scripted endpoint; its SYN is sent when it is made.

    `syn` is the result of that SYN. The node at which it came out becomes the server. It answers to the source address
    that it saw, so translations show in every result. Each step sends one packet and returns its result, delivered or
    not. A step that needs an earlier packet raises NotDelivered if that did not arrive.
    """

    def __init__(
        self,
        client: Endpoint,
        to: tuple[str, int],
        port: int,
        stack: Stack,
        transmit: Transmit,
        endpoint_of: Callable[[str], Endpoint],
        via: str | None = None,
    ) -> None:
        self._client = _End(client, client.address_towards(to[0]), port, seq=1_000_000 + port, ttl=stack.ttl)
        self._client.peer, self._client.peer_port = to
        self._answering: _End | None = None
        self._stack = stack
        self._transmit = transmit
        self._endpoint_of = endpoint_of
        self._via = via
        self.results: list[PacketResult] = []
        self._reached_peer = False
        self.syn = self.repeat_syn()

    @property
    def server(self) -> str:
        """The node at which the SYN came out; raises NotDelivered if it came out at none."""
        __tracebackhide__ = True
        return self._server.endpoint.node

    def repeat_syn(self) -> PacketResult:
        """Send the client's SYN again, as a retransmission."""
        self._client.seq = 1_000_000 + self._client.port
        result = self._send(self._client, "S")
        if (arrival := result.arrival) is not None:
            self._accept(arrival)
        return result

    def syn_ack(self) -> PacketResult:
        """Send the server's SYN/ACK."""
        __tracebackhide__ = True
        return self._send(self._server, "SA")

    def ack(self, by: str = "client") -> PacketResult:
        """Send a bare acknowledgement; the client's first is the third packet of the handshake."""
        __tracebackhide__ = True
        return self._send(self._side(by), "A")

    def fin(self, by: str = "client") -> PacketResult:
        """Send a FIN/ACK from one side."""
        __tracebackhide__ = True
        return self._send(self._side(by), "FA")

    def reset(self, by: str = "client") -> PacketResult:
        """Abort the connection from one side (RST/ACK)."""
        __tracebackhide__ = True
        return self._send(self._side(by), "RA")

    @property
    def handshake_steps(self) -> tuple[Callable[[], PacketResult], ...]:
        """The packets of a handshake behind the SYN; each call sends one."""
        return self.syn_ack, self.ack

    def close_steps(self, by: str = "client") -> tuple[Callable[[], PacketResult], ...]:
        """Return the packets of a close; each call sends one."""
        other = "server" if by == "client" else "client"
        return (
            lambda: self.fin(by),
            lambda: self.ack(other),
            lambda: self.fin(other),
            lambda: self.ack(by),
        )

    def handshake(self) -> tuple[PacketResult, ...]:
        """Send SYN/ACK and ACK; return the results of all three packets; raises NotDelivered when one is lost."""
        __tracebackhide__ = True  # pytest shows the line of the test
        self._require()
        return self.results[-1], *self._all(*self.handshake_steps)

    def send(self, data: bytes, by: str = "client") -> tuple[PacketResult, ...]:
        """Send data from one side and its acknowledgement from the other; raises NotDelivered when one is lost."""
        __tracebackhide__ = True
        sender = self._side(by)
        receiver = self._side("server" if by == "client" else "client")
        return self._all(lambda: self._send(sender, "PA", data), lambda: self._send(receiver, "A"))

    def close(self, by: str = "client") -> tuple[PacketResult, ...]:
        """Send FIN and its ACK in each direction, begun by one side; raises NotDelivered when one of them is lost."""
        __tracebackhide__ = True
        return self._all(*self.close_steps(by))

    @property
    def _server(self) -> _End:
        __tracebackhide__ = True
        if self._answering is None:
            raise NotDelivered(f"{self.results[-1]}. So no node can answer it.")
        return self._answering

    def _accept(self, arrival: Arrival) -> None:
        """Make the node at which the SYN came out the server."""
        seen = arrival.packet
        if self._answering is None:
            endpoint, seq = self._endpoint_of(arrival.node), 5_000_000 + self._client.port
            self._answering = _End(endpoint, seen.destination, seen.destination_port, seq, ttl=64)
        server = self._answering
        server.address, server.port = seen.destination, seen.destination_port
        server.peer, server.peer_port = seen.source, seen.source_port
        server.ack, server.echo = (seen.seq + 1) % _MODULO, seen.timestamp

    def _side(self, by: str) -> _End:
        __tracebackhide__ = True
        if by not in ("client", "server"):
            raise TestbedError(f"a connection has a client and a server, no {by}.")
        return self._client if by == "client" else self._server

    def _all(self, *steps: Callable[[], PacketResult]) -> tuple[PacketResult, ...]:
        __tracebackhide__ = True
        made = []
        for step in steps:
            made.append(step())
            self._require()
        return tuple(made)

    def _send(self, sender: _End, flags: str, data: bytes = b"") -> PacketResult:
        __tracebackhide__ = True
        if flags != "S":
            self._require()
        via = self._via if sender is self._client else None
        result = self._transmit(sender.endpoint, self._packet(sender, flags, data), via)
        sender.seq = (sender.seq + len(data) + ("S" in flags or "F" in flags)) % _MODULO
        receiver = self._answering if sender is self._client else self._client
        self._reached_peer = result.delivered and (receiver is None or result.delivered_to == receiver.endpoint.node)
        if receiver is not None and self._reached_peer and (arrived := result.arrived) is not None:
            receiver.ack = (arrived.seq + len(data) + ("S" in flags or "F" in flags)) % _MODULO
            receiver.echo = arrived.timestamp
        self.results.append(result)
        return result

    def _require(self) -> None:
        """Raise NotDelivered unless the last packet came out at the other side."""
        __tracebackhide__ = True
        if not self._reached_peer:
            raise NotDelivered(f"{self.results[-1]}.")

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
