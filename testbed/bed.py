"""Testbed: a topology and a rule set, realised in namespaces of this process."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from testbed import bed_events, companion_programs
from testbed.bed_events import Observers
from testbed.docker import DockerHost, article
from testbed.errors import RulesError
from testbed.kernel import canonical_rules, devices, syscalls
from testbed.kernel.backends import backend_for
from testbed.kernel.conntrack import Connection, ConnectionTable
from testbed.kernel.counts import CounterReader, Counts
from testbed.kernel.namespace import Namespace
from testbed.kernel.packets import PacketSocket, on_cpu
from testbed.kernel.programs import LEGACY
from testbed.observe.counting import Counting
from testbed.observe.journey import Journey
from testbed.observe.tracing import Traced, Tracing, Watchers
from testbed.rules import AnyRuleset, environment
from testbed.rules.memory import keeps_state
from testbed.rules.reading import CounterReading
from testbed.rules.ruleset import Ruleset
from testbed.topology import Port, Topology
from testbed.traffic import destination
from testbed.traffic.destination import Destination
from testbed.traffic.endpoint import Endpoint, EndpointInterface, identities
from testbed.traffic.layers import ICMP
from testbed.traffic.packet import Crossing, Packet
from testbed.traffic.sockets import Attempt, KernelEndpoint, echoed
from testbed.traffic.tcp import WINDOWS, Stack, TcpConversation

FIRST_PORT = 40000


class Testbed:
    """Namespaces for every node of a topology, with a rule set loaded into the host's.

    A context manager: everything it made is deleted when it is closed, and when the process ends for any reason. Raises
    RulesError for a refused rule set, MissingRequirement without root, iptables or a kernel feature. Both are
    TestbedErrors.

    `backend` is `nft` or `legacy`: the variant of iptables that loads the rules and reads their counters. A rule set in
    nftables' own syntax (NftRuleset) is always loaded by nft. If the rules name bridges that the topology lacks, and
    their subnets, these bridges are added (rules/environment.py).
    """

    __test__ = False  # pytest would collect a class whose name begins with Test

    def __init__(
        self, topology: Topology, ruleset: AnyRuleset, backend: str = "nft", observers: Observers | None = None
    ) -> None:
        self._realise(environment.with_missing_bridges(topology, [ruleset]), ruleset, backend, observers)

    def _realise(self, topology: Topology, ruleset: AnyRuleset, backend: str, observers: Observers | None) -> None:
        namespaces = {node.name: Namespace.create(node.name) for node in topology.nodes}
        self._prepare(topology, namespaces, ruleset, backend, observers)
        try:
            if environment.at_load(ruleset):
                devices.build(topology, namespaces)
                self.backend.replace(self._host, ruleset)
            else:
                with self.backend.loading(self._host, ruleset):
                    devices.build(topology, namespaces)
            self._notify_loaded()
        except BaseException:
            self.close()
            raise

    @classmethod
    def article(
        cls, ruleset: AnyRuleset | None = None, backend: str = "nft", observers: Observers | None = None
    ) -> Testbed:
        """Return a bed of the article's host, with its own rule set or another."""
        return cls(article.topology(), ruleset or article.ruleset(), backend, observers)

    @classmethod
    def attach(
        cls, topology: Topology, namespaces: Mapping[str, Namespace], ruleset: AnyRuleset, backend: str
    ) -> Testbed:
        """Return an existing bed, in namespaces that were opened by name; closing it does not delete them."""
        bed = cls.__new__(cls)
        bed._prepare(topology, namespaces, ruleset, backend)
        used = {connection.original.source_port for connection in bed.connections()}
        bed._next_port = next(port for port in range(FIRST_PORT, 65536) if port not in used)
        return bed

    def _prepare(
        self,
        topology: Topology,
        namespaces: Mapping[str, Namespace],
        ruleset: AnyRuleset,
        backend: str,
        observers: Observers | None = None,
    ) -> None:
        self.topology = topology
        self._observers = bed_events.present_observers() if observers is None else observers
        self.backend = backend_for(ruleset, backend)
        self._namespaces = namespaces
        self._host = namespaces[topology.host]
        self._connections = ConnectionTable(self._host)
        self._endpoints: dict[str, Endpoint] = {}
        self._sockets = ExitStack()
        self._counters: CounterReader | None = None
        self._worded: canonical_rules.CanonicalRules | None = None
        self._identities = identities()
        self._next_port = FIRST_PORT
        self._cpu = syscalls.current_cpu()
        self._loaded = ruleset
        self.keeps_state = keeps_state(self._loaded)  # whether any rules loaded so far may leave state behind

    def __enter__(self) -> Testbed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the namespaces; the kernel deletes those that no other process or name holds."""
        self._notify_leaving()
        self._sockets.close()
        self._close_counters()
        self._connections.close()
        for namespace in self._namespaces.values():
            namespace.close()

    # contents

    @property
    def namespaces(self) -> Mapping[str, Namespace]:
        """The namespace of each node."""
        return self._namespaces

    @property
    def host(self) -> Namespace:
        """The namespace whose packet filter is under test."""
        return self._host

    def node(self, name: str) -> Namespace:
        """Return the namespace of a node, in which functions and programs can run."""
        self.topology.node(name)
        return self._namespaces[name]

    def kernel(self, name: str) -> KernelEndpoint:
        """Return the kernel endpoint of a node: its ordinary sockets."""
        return KernelEndpoint(self.node(name))

    def endpoint(self, name: str) -> Endpoint:
        """Return the scripted endpoint of a node, on all of its interfaces; each node has one."""
        if name not in self._endpoints:
            node = self.node(name)
            interfaces = self.topology.node(name).interfaces
            ends = [EndpointInterface(Port(name, own.name), own, PacketSocket(node, own.name)) for own in interfaces]
            for end in ends:
                self._sockets.callback(end.socket.close)
            self._endpoints[name] = Endpoint(self.topology, name, ends, self._cpu, self._identities)
        return self._endpoints[name]

    @property
    def processor(self) -> int:
        """The processor that sends all packets, so that it is known when a packet has been processed (endpoint.py)."""
        return self._cpu

    # rules and counters

    def load(self, ruleset: AnyRuleset) -> None:
        """Replace the rules of the host; raises RulesError when they are refused or of another kind than the bed's.

        Refused rules change nothing: rules, counters, sets and the state that rules keep stay the same.
        """
        self._load(ruleset, self.backend.load)

    def _load(self, ruleset: AnyRuleset, load: Callable[[Namespace, AnyRuleset], None]) -> None:
        if ruleset.syntax is not self._loaded.syntax:
            raise RulesError(f"{ruleset.source} is of another kind than the bed's rules.", "Make a bed for it.")
        self._notify_leaving()
        self.keeps_state |= keeps_state(ruleset)
        try:
            load(self._host, ruleset)
            self._loaded = ruleset
            self._close_counters()
            self._worded = None
        finally:
            self._notify_loaded()

    def reset(self, ruleset: AnyRuleset) -> bool:
        """Load these rules and clear all traces of packets: connections, counters, captured packets.

        Returns whether the bed is like a new one, as far as rules and packets go. It is not if rules may have left
        state, or if a legacy table is left that only the previous rules had. Raises RulesError when the rules are
        refused; the bed must then be closed.
        """
        if self.keeps_state:
            return False
        self.settle()
        self._sockets.close()
        self._endpoints.clear()
        self._identities = identities()
        self._next_port = FIRST_PORT
        self._load(ruleset, self.backend.replace)
        counted = self.raw_counters()
        iptables = ruleset.as_iptables
        own = {table.name for table in iptables.tables} if iptables is not None else counted.tables
        return self.forget_connections() and own >= counted.tables and not counted.moved

    @property
    def loaded(self) -> AnyRuleset:
        """The rule set that was loaded last, in its original text."""
        return self._loaded

    def ruleset(self) -> AnyRuleset:
        """Return the host's present rules as the kernel holds them, in iptables' syntax (Ruleset) or nftables'
        (NftRuleset).
        """
        saved: AnyRuleset = self.backend.saved(self._host)
        return saved

    def words(self) -> Ruleset:
        """Return the rules that count, in the kernel's words; a native nftables rule is `-A CHAIN statements`."""
        return self._words(self._counts()).ruleset

    def counters(self) -> CounterReading:
        """Return the counters of every rule and policy, once all packets that endpoints sent have been processed."""
        reading = self._named_reading(self.raw_counters())
        for observer in self._observers:
            observer.read(reading)
        return reading

    def raw_counters(self) -> CounterReading:
        """Return the counters under the names of the rules that are actually loaded, as traces have them."""
        self.settle()
        counts = self._counts()
        return self._words(counts).reading(counts)

    def counting(self) -> Counting:
        """Return a context that counts: `with bed.counting() as counting: ...`, then `counting.result == '''*filter
        ...'''`.

        Every endpoint captures meanwhile, so that a difference can be explained.
        """
        ends = [self.endpoint(node.name) for node in self._ends()]
        return Counting(self.counters, lambda: [end.arrivals() for end in ends])

    def tracing(self) -> Tracing:
        """Return a context that traces: `with bed.tracing() as tracing: ...`, then `tracing.journey(crossing)`.

        Every packet that a router of the bed sees meanwhile is traced. The end of the block raises Disagreement when
        the rules counted other packets than these.
        """
        for node in self._ends():
            self.endpoint(node.name)
        return Tracing(
            Traced(
                self.topology,
                self._namespaces,
                self.backend.book(self._host),
                self._loaded.syntax,
                self.backend.name == LEGACY,
                lambda: self._endpoints,
                self.settle,
                self.raw_counters,
                self._connections,
                lambda: self._counts().identity,
                self._shown_journey,
                Watchers([watcher for one in self._observers if (watcher := one.watcher(self)) is not None]),
            )
        )

    def settle(self) -> None:
        """Return when no packet that an endpoint sent is on its way any more."""
        for endpoint in self._endpoints.values():
            endpoint.settle()

    def connections(self) -> list[Connection]:
        """Return the host's connection table."""
        return self._connections.entries()

    def forget_connections(self) -> bool:
        """Empty the host's connection table; return whether it is empty."""
        self._connections.flush()
        return self._connections.count() == 0

    # traffic

    def tcp(
        self,
        client: str,
        server: str,
        to: Destination,
        stack: Stack = WINDOWS,
        port: int | None = None,
        via: str | None = None,
    ) -> TcpConversation:
        """Return a TCP conversation between the scripted endpoints of two nodes, to the destination `to`.

        `to` is "host:80" or a pair. Every conversation has its own client port unless one is given, so that it is a
        connection of its own. Raises TestbedError for an impossible destination or port.
        """
        port = destination.port_number(port) if port is not None else self.free_port()
        asked = destination.pair(to, self.topology)
        return TcpConversation(
            self.endpoint(client), self.endpoint(server), asked, port, stack, self._cross, self.counters, via=via
        )

    def free_port(self) -> int:
        """Return a port that no conversation of this bed has used."""
        self._next_port += 1
        return self._next_port - 1

    def send(self, origin: str, packet: Any, to: str, via: str | None = None) -> Crossing:
        """Send a scapy IP packet from a node's scripted endpoint; return its result at the endpoint of node `to`.

        The packet is recognised by its identification. So `arrived` may show another source or destination: a
        translation.
        """
        receiver = self.endpoint(to)
        return self._cross(self.endpoint(origin).send(packet, via), receiver)

    def connect_from_kernel(self, origin: str, to: Destination) -> Attempt:
        """Attempt a TCP connection from a node's own kernel and return the outcome at once, without a timeout.

        An unanswered attempt has sent one SYN. Close the attempt before the kernel repeats the SYN (1 s).
        """
        asked = destination.pair(to, self.topology)
        asking = self.kernel(origin).tcp(towards=asked[0])
        asking.setblocking(False)
        with on_cpu(self._cpu):
            code = asking.connect_ex(asked)
        if code not in (0, errno.EINPROGRESS):
            return Attempt(os.strerror(code), asking)
        self.settle_everywhere()
        return Attempt.judged(asking)

    def ping(self, origin: str, address: str) -> bool:
        """Return whether an echo request of 84 bytes, sent by a node's own kernel, is answered."""
        with self.kernel(origin).icmp() as asking:
            request = ICMP(type=8, id=next(self._identities), seq=1) / bytes(56)
            with on_cpu(self._cpu), suppress(PermissionError):  # dropped by the packet filter on its way out
                asking.sendto(bytes(request), (address, 0))
            self.settle_everywhere()
            return echoed(asking, request.id)

    def send_from_kernel(self, origin: str, protocol: str, to: Destination) -> None:
        """Send from a node's own kernel: a TCP connection attempt, an 8-byte UDP datagram or an ICMP echo request."""
        asked = destination.pair(to, self.topology)
        if protocol == "tcp":
            self.connect_from_kernel(origin, asked).asking.close()
        elif protocol == "icmp":
            self.ping(origin, asked[0])
        else:
            with self.kernel(origin).udp(towards=asked[0]) as asking, on_cpu(self._cpu), suppress(PermissionError):
                asking.sendto(b"question", asked)
            self.settle_everywhere()

    @contextmanager
    def userland_proxy(self, host: DockerHost) -> Iterator[None]:
        """Run a relay on the host that listens like docker-proxy, while the block runs."""
        proxy = companion_programs.userland_proxy(self._host, host)
        try:
            yield
        finally:
            proxy.close()

    @contextmanager
    def published_ports_open(self, host: DockerHost) -> Iterator[None]:
        """Open sockets on the host that accept like docker-proxy but relay nothing, while the block runs.

        So packets that the rules let reach the host itself are answered as on a host with a proxy.
        """
        with ExitStack() as opened:
            for protocol, address, port in companion_programs.listeners(host) if host.userland_proxy else ():
                opened.enter_context(self.kernel(self.topology.host).bound(protocol, port, address))
            yield

    def settle_everywhere(self) -> None:
        """Return when no packet that a node's kernel sent or answered on this bed's processor is on its way.

        Every endpoint has then sent a frame, so that each bridge knows its port.
        """
        for node in self._ends():
            self.endpoint(node.name).settled = False
        self.settle()

    def arrival_of(self, sent: Packet) -> tuple[str, Packet] | None:
        """Return the node where a packet arrived and the packet there, or None if no endpoint captured it."""
        for name, endpoint in self._endpoints.items():
            if (found := endpoint.find(sent.same_as, self.settle)) is not None:
                return name, found
        return None

    def received_by(self, name: str) -> tuple[Packet, ...]:
        """Return every packet that arrived at a node since its endpoint was first used."""
        self.settle()
        return self.endpoint(name).arrivals()

    def _cross(self, sent: Packet, receiver: Endpoint) -> Crossing:
        """Return the result of a packet that was just sent."""
        crossing = Crossing(sent, receiver.find(sent.same_as, self.settle))
        for observer in self._observers:
            observer.sent(crossing)
        return crossing

    def _notify_loaded(self) -> None:
        for observer in self._observers:
            observer.loaded(self)

    def _notify_leaving(self) -> None:
        for observer in self._observers:
            observer.leaving(self)

    def _ends(self) -> list[Any]:
        """Return the nodes that send and receive: neither routers nor switches."""
        return [node for node in self.topology.nodes if not node.passes_on and node.name != self.topology.host]

    def _counts(self) -> Counts:
        if self._counters is None:
            self._counters = self._host.run(self.backend.open_counters)
        return self._counters.read()

    def _close_counters(self) -> None:
        if self._counters is not None:
            self._counters.close()
            self._counters = None

    def _named_reading(self, counted: CounterReading) -> CounterReading:
        """Return the counters under the names of the rules that the bed shows."""
        return counted

    def _named_journey(self, journey: Journey) -> Journey:
        """Return a journey under the names of the rules that the bed shows."""
        return journey

    def _shown_journey(self, journey: Journey) -> Journey:
        shown = self._named_journey(journey)
        for observer in self._observers:
            observer.traced(shown)
        return shown

    def _words(self, counts: Counts) -> canonical_rules.CanonicalRules:
        if self._worded is None or self._worded.identity != counts.identity:
            self._worded = canonical_rules.CanonicalRules.of(self.backend, self._host, self._loaded, counts)
        return self._worded
