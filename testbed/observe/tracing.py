"""The journeys of packets: traced while a block runs, assembled by packet, cross-checked with the counters."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from testbed.errors import Disagreement, KernelRefused, TestbedError
from testbed.kernel.conntrack import Connection, ConnectionTable, Tuple
from testbed.kernel.namespace import Namespace
from testbed.kernel.routes import address_types
from testbed.kernel.tracer import Tracer
from testbed.observe import journey_end
from testbed.observe.assembly import Assembler
from testbed.observe.captures_by_cookie import CapturesByCookie
from testbed.observe.crosscheck import verify
from testbed.observe.demultiplexer import Cookie, Passage, TraceDemultiplexer
from testbed.observe.header import TracedHeader, cookie_of
from testbed.observe.journey import Journey, NodeTraversal
from testbed.observe.packet_result import PacketResult
from testbed.rules.loaded import LoadedRuleset
from testbed.rules.reading import CounterReading
from testbed.rules.syntax import Syntax
from testbed.topology import Port, Topology
from testbed.traffic.endpoint import Endpoint
from testbed.traffic.packet import Packet

_ATTEMPTS = 1000
_NO_RULES = LoadedRuleset(())


class Watcher(Protocol):
    """Is notified when the tracing of a bed begins and when it ends."""

    def begins(self, tracing: Tracing) -> None:
        """Called when a tracing begins; no other tracing of the bed may run meanwhile."""

    def ended(self, tracing: Tracing) -> None:
        """Called when a tracing has ended; its journeys stay available."""


class Watchers:
    """Several watchers of one bed."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers

    def begins(self, tracing: Tracing) -> None:
        for watcher in self._watchers:
            watcher.begins(tracing)

    def ended(self, tracing: Tracing) -> None:
        for watcher in self._watchers:
            watcher.ended(tracing)


@dataclass(frozen=True, slots=True)
class Traced:
    """The parts of a bed that tracing uses: nodes, the host's rules, endpoints, counters, connections.

    `syntax` is that of the rules. `identity` changes with the rules. `legacy` says that iptables-legacy loaded them.
    `told` maps each journey to the one that the caller gets. `watchers` are notified of the tracing.
    """

    topology: Topology
    namespaces: Mapping[str, Namespace]
    book: LoadedRuleset
    syntax: Syntax
    legacy: bool
    endpoints: Callable[[], Mapping[str, Endpoint]]
    settle: Callable[[], None]
    counters: Callable[[], CounterReading]
    connections: ConnectionTable
    identity: Callable[[], Hashable]
    told: Callable[[Journey], Journey]
    watchers: Watchers


@dataclass(slots=True)
class _TracedPacket:
    """A packet as traced so far: its passages through nodes, and `journey` once it is assembled.

    `copies` are the copies that rules made of it; a copy has its `original`.
    """

    passages: list[Passage] = field(default_factory=list)
    journey: Journey | None = None
    copies: list[_TracedPacket] = field(default_factory=list)
    original: _TracedPacket | None = None

    @property
    def is_copy(self) -> bool:
        return self.original is not None

    @property
    def arrived_before(self) -> Packet | None:
        """The packet as it came out, of which this is a copy."""
        known = self.original.journey if self.original is not None else None
        return known.arrived if known is not None else None


class Tracing:
    """A context manager: `with bed.tracing() as tracing: ...`, then `tracing.journey(result)`.

    While the block runs, every packet that a router of the bed sees is traced. At the end the trace is compared with
    the rules' counters; raises Disagreement if they differ.
    """

    def __init__(self, traced: Traced) -> None:
        self._bed = traced
        self._sorters: list[TraceDemultiplexer] = []
        self._tracers: list[Tracer] = []
        self._assemblers: dict[str, Assembler] = {}
        self._found: list[_TracedPacket] = []
        self._latest: dict[Cookie, _TracedPacket] = {}
        self._captured = CapturesByCookie(traced.endpoints)
        self._identity = traced.identity()
        self._addresses = {str(address.ip) for node in traced.topology.nodes for address in node.addresses}
        self._bridges = {node.name: {own.name for own in node.bridges} for node in traced.topology.nodes}
        self._before: CounterReading | None = None

    @property
    def book(self) -> LoadedRuleset:
        """The host's rules as the kernel holds them."""
        return self._bed.book

    def __enter__(self) -> Tracing:
        self._bed.watchers.begins(self)
        try:
            self._captured.begin()
            for node in self._routers():
                self._trace(node)
            self._before = self._counted()
        except BaseException:
            self._close()
            raise
        self._found.clear()
        self._latest.clear()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None and self._before is not None:
                counted = self._counted() - self._before
                journeys = self._journeys()  # of the counted packets only, not of packets that came later
                with self._of_the_same_rules():
                    verify(journeys, counted, self._bed.syntax.counts_before_the_end)
        finally:
            self._close()

    def journey(self, of: PacketResult | Packet) -> Journey:
        """Return the journey of a packet that was sent in the block; raises TestbedError for another packet."""
        self._require_begun()
        packet = of.sent if isinstance(of, PacketResult) else of
        self._collect()
        found = self._latest.get(cookie_of(packet))
        if found is None:
            if self._captured.origin(packet) is None:
                raise TestbedError(f"{packet} was not sent while it was traced.", "Send it in the block.")
            found = self._latest.setdefault(cookie_of(packet), _TracedPacket())
        return self._bed.told(self._put_together(found, packet))

    def journeys(self) -> tuple[Journey, ...]:
        """Return the journeys of all packets that a router saw, in the order of sending."""
        self._require_begun()
        self._collect()
        return tuple(self._bed.told(journey) for journey in self._journeys())

    def _require_begun(self) -> None:
        if self._before is None:
            raise TestbedError("tracing has not begun.", "Use it as `with bed.tracing() as tracing:`.")

    def _journeys(self) -> tuple[Journey, ...]:
        return tuple(self._put_together(found, None) for found in self._found)

    def _routers(self) -> list[str]:
        host = self._bed.topology.host
        others = [n.name for n in self._bed.topology.nodes if ("net.ipv4.ip_forward", "1") in n.sysctls]
        return [host, *(name for name in others if name != host)]

    @contextmanager
    def _of_the_same_rules(self) -> Iterator[None]:
        """Raise KernelRefused in place of a contradiction if the rules changed meanwhile."""
        try:
            yield
        except (Disagreement, KernelRefused) as error:
            if self._bed.identity() != self._identity:
                raise KernelRefused(
                    "the rules changed while packets were traced.", "Change them first, or between two tracings."
                ) from error
            raise

    def _trace(self, node: str) -> None:
        namespace, host = self._bed.namespaces[node], node == self._bed.topology.host
        book = self._bed.book if host else _NO_RULES
        tracer = Tracer(namespace, legacy=self._bed.legacy and host, tracking=book.tracks, devices=book.devices)
        self._tracers.append(tracer)
        self._sorters.append(TraceDemultiplexer(node, tracer, book.copies))
        devices = {index: name for name, index in self._bed.topology.node(node).indexes.items()} | {1: "lo"}
        self._assemblers[node] = Assembler(node, book, self._bed.syntax.clauses, devices, address_types(namespace))

    def _close(self) -> None:
        while self._tracers:
            self._tracers.pop().close()
        self._sorters.clear()
        self._bed.watchers.ended(self)

    def _counted(self) -> CounterReading:
        """Return the counters at a moment when all counted packets have been traced: no event came in meanwhile."""
        for _ in range(_ATTEMPTS):
            self._collect()
            counted = self._bed.counters()
            if not self._collect():
                return counted
        raise TestbedError("the host never stops passing packets on.", "Trace when nothing else uses the bed.")

    def _collect(self) -> bool:
        """Settle, then collect new events and captures; return whether there were new events."""
        self._bed.settle()
        self._captured.collect()
        new = [passage for sorter in self._sorters for passage in sorter.passages()]
        for passage in new:
            self._add(passage)
        return any(sorter.heard for sorter in self._sorters)

    def _add(self, passage: Passage) -> None:
        known = self._latest.get(passage.cookie)
        if known is not None and known.journey is None:
            if passage.copy_of is not None:
                self._found.append(_TracedPacket([passage], original=known))
                known.copies.append(self._found[-1])
                return
            if (owner := self._owner(known, passage)) is not None:
                owner.passages.append(passage)
                return
        self._found.append(_TracedPacket([passage]))
        self._latest[passage.cookie] = self._found[-1]

    def _owner(self, known: _TracedPacket, passage: Passage) -> _TracedPacket | None:
        """Return the packet that a passage belongs to: a copy that was sent earlier, else the packet itself."""
        for copy in known.copies:
            if _same_way(copy.passages, passage) and self._sent_to(copy, passage):
                return copy
        return known if _same_way(known.passages, passage) else None

    def _sent_to(self, copy: _TracedPacket, passage: Passage) -> bool:
        """Return whether a copy went to a passage's node: it left to its segment, with the same TTL."""
        reached = [str(address.ip) for address in self._bed.topology.node(passage.node).addresses]
        wanted = self._bed.book.copied_to if len(copy.passages) == 1 else ()
        left_as = copy.passages[-1].hooks[-1].after
        as_it_came = left_as is not None and left_as.ttl == passage.hooks[0].header.ttl
        beside = passage.node in self._beside(copy.passages)
        return as_it_came and beside and (not wanted or not {*wanted}.isdisjoint(reached))

    def _beside(self, passages: Sequence[Passage]) -> set[str]:
        """Return the nodes on the segment by which a packet left the last of its nodes."""
        if not passages or passages[-1].hooks[-1].after is None:
            return set()
        last = passages[-1]
        device = self._assemblers[last.node].devices.get(last.hooks[-1].left, "lo")
        if device not in [own.name for own in self._bed.topology.node(last.node).devices]:
            return set()
        return {node.name for node, _ in self._bed.topology.segment(Port(last.node, device))}

    def _in_order(self, passages: Sequence[Passage]) -> list[Passage]:
        """Return passages in the order of the nodes, by the segment each left to, since rules may change the TTL."""
        by_ttl = sorted(passages, key=_on_the_way)
        nodes = {passage.node for passage in passages}
        led_to = {name for one in by_ttl for name in self._beside([one]) if name != one.node}
        first = nodes - led_to
        if len(nodes) == 1 or len(first) != 1:
            return by_ttl
        return sorted(by_ttl, key=lambda passage: passage.node not in first)

    def _put_together(self, found: _TracedPacket, packet: Packet | None) -> Journey:
        if found.journey is None:
            passages = self._in_order(found.passages)
            captured = None if found.is_copy else packet or self._captured.sent(passages[0].cookie)
            sent = captured or _as_packet(passages[0].hooks[0].header)
            origin = (None if found.is_copy else self._captured.origin(sent)) or self._origin(passages)
            connection = self._connection(passages)
            with self._of_the_same_rules():
                nodes = [(own, self._assemblers[own.node].assemble(own, connection)) for own in passages]
            arrived = self._arrived(found, passages, sent)
            came_back = tuple(self._answers(found, passages, sent, origin)) if arrived is None else ()
            crossed = self._bridge_between(origin, arrived[0]) if arrived is not None and not nodes else ()
            found.journey = Journey(
                origin,
                sent,
                tuple(node for _, node in nodes) or crossed,
                arrived[1] if arrived is not None else None,
                journey_end.end(
                    origin, sent, nodes, arrived, came_back, self._bed.namespaces, self._bridges, self._addresses
                ),
                connection,
                came_back,
                tuple(self._put_together(copy, None) for copy in found.copies),
                found.is_copy,
            )
        return found.journey

    def _answers(
        self, found: _TracedPacket, passages: Sequence[Passage], sent: Packet, origin: str
    ) -> Iterator[Packet]:
        """Return the answers to a packet; with copies only those that the node sent where it ended."""
        for answer in journey_end.answers(sent, self._captured.at(origin)):
            own = self._latest.get(cookie_of(answer))
            first = own.passages[0] if own is not None and own.passages else None
            last = passages[-1].node if passages else ""
            from_there = first is not None and (first.node, first.hooks[0].name) == (last, "OUTPUT")
            if not found.copies or from_there:
                yield answer

    def _arrived(self, found: _TracedPacket, passages: Sequence[Passage], sent: Packet) -> tuple[str, Packet] | None:
        """Return where a packet arrived as it left the last node; with copies that is the end with its address."""
        cookie = passages[0].cookie if passages else cookie_of(sent)
        left_as = passages[-1].hooks[-1].after if passages else None
        if not found.is_copy and not found.copies:
            return self._captured.arrived(cookie, left_as)
        beside = self._beside(passages)
        for name, packet in self._captured.arrivals(cookie):
            as_left = left_as is not None and (packet.from_, packet.to) == (left_as.from_, left_as.to)
            own = packet.destination in [str(address.ip) for address in self._bed.topology.node(name).addresses]
            if name in beside and as_left and (own or found.is_copy) and packet is not found.arrived_before:
                return name, packet
        return None

    def _bridge_between(self, *ends_of_it: str) -> tuple[NodeTraversal, ...]:
        """Return the node whose bridge forwarded the packet as a frame without any hook of the IP layer."""
        topology = self._bed.topology
        for node in topology.nodes:
            for bridge in node.bridges:
                if set(ends_of_it) <= {near.name for near, _ in topology.segment(Port(node.name, bridge.name))}:
                    return (NodeTraversal(node.name, ()),)
        return ()

    def _origin(self, passages: Sequence[Passage]) -> str:
        """Return the origin of a packet that no endpoint sent: the owner of its source address, or its first node."""
        source = passages[0].hooks[0].header.source
        owners = (n.name for n in self._bed.topology.nodes if source in [str(address.ip) for address in n.addresses])
        return passages[0].node if passages[0].hooks[0].name == "OUTPUT" else next(owners, passages[0].node)

    def _connection(self, passages: Sequence[Passage]) -> Connection | None:
        """Return the present entry of a packet in the host's connection table, or None."""
        on_host = [passage for passage in passages if passage.node == self._bed.topology.host]
        if not on_host or on_host[0].state in ("", "INVALID", "UNTRACKED"):
            return None
        header = on_host[0].hooks[0].header
        way = Tuple(header.source, header.destination, header.source_port, header.destination_port)
        echo = (header.icmp[0], header.echo) if header.icmp is not None and header.echo is not None else None
        return self._bed.connections.find(header.protocol, way, echo)


def _on_the_way(passage: Passage) -> tuple[int, bool]:
    """Return a sort key for the order of nodes: each router decrements the TTL, but the sender does not."""
    first = passage.hooks[0]
    return -first.header.ttl, first.name != "OUTPUT"


def _same_way(passages: Sequence[Passage], later: Passage) -> bool:
    """Return whether a passage continues a packet, rather than belonging to another packet with equal headers.

    A packet that a node sends to itself passes it twice: out, and in again by its loopback. A copy that a bridge made
    begins with FORWARD.
    """
    if later.hooks[0].name == "FORWARD":
        return True
    begins = [passage.node for passage in passages if passage.hooks[0].name == "OUTPUT"]
    there = [passage for passage in passages if passage.node == later.node]
    if later.hooks[0].name == "OUTPUT":
        return not there and not begins
    return not there or (len(there) == 1 and begins == [later.node])


def _as_packet(header: TracedHeader) -> Packet:
    """Return a packet that no endpoint captured, as the first node saw it."""
    return Packet(
        header.source,
        header.destination,
        header.protocol,
        header.identification,
        header.ttl,
        header.length,
        header.source_port,
        header.destination_port,
        header.flags,
        header.seq,
        header.ack,
        icmp=header.icmp,
    )
