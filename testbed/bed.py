"""Testbed: a topology and a rule set, realised in namespaces of this process."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from testbed import bed_events, companion_programs
from testbed.bed_events import Observers
from testbed.bed_parts import Host, Rules, parts
from testbed.connection import TcpConnection
from testbed.docker import DockerHost, article
from testbed.errors import RulesError
from testbed.host_rules import HostRules
from testbed.kernel import devices, syscalls
from testbed.kernel.backends import backend_for
from testbed.kernel.conntrack import Connection, ConnectionTable
from testbed.kernel.counts import Counts
from testbed.kernel.namespace import Namespace
from testbed.kernel.programs import LEGACY
from testbed.kernel_senders import KernelSender
from testbed.observe.counting import Counting
from testbed.observe.drop_ledger import DropLedger
from testbed.observe.journey import Journey
from testbed.observe.packet_result import DropEvidence, PacketResult
from testbed.observe.tracing import Traced, Tracing, Watcher, Watchers
from testbed.rules import AnyRuleset, environment, reference
from testbed.rules.memory import keeps_state
from testbed.rules.reading import CounterLine, CounterReading
from testbed.rules.ruleset import Ruleset
from testbed.topology import Topology
from testbed.traffic import destination
from testbed.traffic.destination import Destination
from testbed.traffic.endpoint import Endpoint
from testbed.traffic.listening import Listening
from testbed.traffic.packet import Packet
from testbed.traffic.sockets import Attempt, KernelEndpoint
from testbed.traffic.tcp import WINDOWS, Stack
from testbed.transmission import ShownRules, Transmission

FIRST_PORT = 40000


class Testbed:
    """Namespaces for every node of a topology, with a rule set loaded into the host's.

    `host` is a topology, a DockerHost or the path of a host file; `rules` are a rule set or the path of a rule file,
    and without them those of the default engine for the host.

    A context manager: everything it made is deleted when it is closed, and when the process ends for any reason. Raises
    RulesError for a refused rule set, MissingRequirement without root, iptables or a kernel feature. Both are
    TestbedErrors.

    `backend` is `nft` or `legacy`: the variant of iptables that loads the rules and reads their counters. A rule set in
    nftables' own syntax (NftRuleset) is always loaded by nft. If the rules name bridges that the topology lacks, and
    their subnets, these bridges are added (rules/environment.py).
    """

    __test__ = False  # pytest would collect a class whose name begins with Test
    closed = False

    def __init__(
        self, host: Host, rules: Rules | None = None, backend: str = "nft", observers: Observers | None = None
    ) -> None:
        topology, ruleset = parts(host, rules)
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
            self._listening.open(self._host, topology.node(topology.host))
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
        bed._begin_ledger(all_zero=False)
        bed._transmission.others_may_send = True
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
        self._next_port = FIRST_PORT
        self._cpu = syscalls.current_cpu()
        self._listening = Listening()
        self._transmission = self._new_transmission()
        self._rules = HostRules(self._host, self.backend, ruleset)
        self._begin_ledger(all_zero=not self._rules.native)
        self.keeps_state = keeps_state(ruleset)  # whether any rules loaded so far may leave state behind

    def __enter__(self) -> Testbed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the namespaces; the kernel deletes those that no other process or name holds. Again: do nothing."""
        if self.closed:
            return
        self._notify_leaving()
        self._transmission.close()
        self._listening.close()
        self._rules.close()
        self._connections.close()
        for namespace in self._namespaces.values():
            namespace.close()
        self.closed = True

    # contents

    @property
    def namespaces(self) -> Mapping[str, Namespace]:
        """The namespace of each node."""
        self._transmission.others_may_send = True
        return self._namespaces

    @property
    def host(self) -> Namespace:
        """The namespace whose packet filter is under test."""
        self._transmission.others_may_send = True
        return self._host

    def node(self, name: str) -> Namespace:
        """Return the namespace of a node, in which functions and programs can run."""
        self.topology.node(name)
        self._transmission.others_may_send = True
        return self._namespaces[name]

    def kernel(self, name: str) -> KernelEndpoint:
        """Return the kernel endpoint of a node: its ordinary sockets."""
        return KernelEndpoint(self.node(name))

    def endpoint(self, name: str) -> Endpoint:
        """Return the scripted endpoint of a node, on all of its interfaces; each node has one."""
        return self._transmission.endpoint(name)

    @property
    def listening(self) -> tuple[socket.socket, ...]:
        """The open sockets of the host's own listeners (Node.listeners), while this process holds the bed."""
        return tuple(self._listening.sockets)

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
        if ruleset.syntax is not self._rules.loaded.syntax:
            raise RulesError(f"{ruleset.source} is of another kind than the bed's rules.", "Make a bed for it.")
        self._notify_leaving()
        self._transmission.keep_proofs()
        self.keeps_state |= keeps_state(ruleset)
        try:
            load(self._host, ruleset)
            self._rules.replaced(ruleset)
            self._begin_ledger(all_zero=not self._rules.native)
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
        self._transmission.close()
        self._transmission = self._new_transmission()
        self._next_port = FIRST_PORT
        self._load(ruleset, self.backend.replace)
        counted = self.raw_counters()
        iptables = ruleset.as_iptables
        own = {table.name for table in iptables.tables} if iptables is not None else counted.tables
        return self.forget_connections() and own >= counted.tables and not counted.moved

    @property
    def loaded(self) -> AnyRuleset:
        """The rule set that was loaded last, in its original text."""
        return self._rules.loaded

    @property
    def in_force(self) -> AnyRuleset:
        """The rule set that the kernel was given last: of a bed with a mutant the mutant's."""
        return self._rules.loaded

    def ruleset(self) -> AnyRuleset:
        """Return the host's present rules as the kernel holds them, in iptables' syntax (Ruleset) or nftables'
        (NftRuleset).
        """
        saved: AnyRuleset = self.backend.saved(self._host)
        return saved

    def words(self) -> Ruleset:
        """Return the rules that count, in the kernel's words; a native nftables rule is `-A CHAIN statements`."""
        return self._rules.words(self._rules.counts())

    def counters(self) -> CounterReading:
        """Return the counters of every rule and policy, once all packets that endpoints sent have been processed."""
        reading = self._named_reading(self.raw_counters())
        for observer in self._observers:
            observer.read(reading)
        return reading

    def raw_counters(self) -> CounterReading:
        """Return the counters under the names of the rules that are actually loaded, as traces have them."""
        self.settle()
        return self._rules.reading(self._rules.counts())

    def counting(self) -> Counting:
        """Return a context that counts: `with bed.counting() as counting: ...`, then `counting.result == '''*filter
        ...'''`.

        Every endpoint captures meanwhile, so that a difference can be explained.
        """
        ends = self._transmission.open_ends()
        return Counting(self.counters, lambda: [end.arrivals() for end in ends])

    def tracing(self) -> Tracing:
        """Return a context that traces: `with bed.tracing():`, then `result.journey` of a packet sent in the block.

        Every packet that a router of the bed sees meanwhile is traced. The end of the block raises Disagreement when
        the rules counted other packets than these.
        """
        begun, ended = self._transmission.begin_tracing, self._transmission.end_tracing
        return self._tracing(Watchers([*self._watchers(), _Announced(begun, ended)]))

    def background_tracing(self) -> Tracing:
        """Return a context that traces for an observer: results of packets have no journeys from it."""
        return self._tracing(Watchers(self._watchers()))

    def _watchers(self) -> list[Watcher]:
        return [watcher for one in self._observers if (watcher := one.watcher(self)) is not None]

    def _tracing(self, watchers: Watchers) -> Tracing:
        self._transmission.open_ends()
        return Tracing(
            Traced(
                self.topology,
                self._namespaces,
                self.backend.book(self._host),
                self._rules.loaded.syntax,
                self.backend.name == LEGACY,
                lambda: self._transmission.endpoints,
                self.settle,
                self.raw_counters,
                self._connections,
                lambda: self._rules.counts().identity,
                self._shown_journey,
                watchers,
            )
        )

    def settle(self) -> None:
        """Return when no packet that an endpoint sent is on its way any more, and no answer of the host's listeners."""
        self._transmission.settle()

    def settle_everywhere(self) -> None:
        """Return when no packet that a node's kernel sent or answered on this bed's processor is on its way.

        Every endpoint has then sent a frame, so that each bridge knows its port.
        """
        self._transmission.settle_everywhere()

    def connections(self) -> list[Connection]:
        """Return the host's connection table."""
        return self._connections.entries()

    def forget_connections(self) -> bool:
        """Empty the host's connection table; return whether it is empty."""
        self._connections.flush()
        return self._connections.count() == 0

    # traffic

    def connect(
        self,
        client: str,
        to: Destination,
        *,
        stack: Stack = WINDOWS,
        port: int | None = None,
        via: str | None = None,
        trace: bool = False,
    ) -> TcpConnection:
        """Send a SYN from a node's scripted endpoint; return the connection, whose `syn` is its result.

        `to` is "host:80" or a pair. The node at which the SYN comes out becomes the server. Every connection has its
        own client port unless one is given. `via` is a router's address or node, `trace` traces every packet. Raises
        TestbedError for an impossible destination or port.
        """
        port = destination.port_number(port) if port is not None else self.free_port()
        asked = destination.pair(to, self.topology)
        endpoint = self.endpoint(client)

        def transmit(sender: Endpoint, packet: Any, router: str | None) -> PacketResult:
            return self._transmit(sender, packet, router, trace)

        return TcpConnection(endpoint, asked, port, stack, transmit, self._transmission.endpoint, via)

    def free_port(self) -> int:
        """Return a port that no connection of this bed has used."""
        self._next_port += 1
        return self._next_port - 1

    def send(self, packet: Any, origin: str, *, via: str | None = None, trace: bool = False) -> PacketResult:
        """Send a scapy IP packet from a node's scripted endpoint; return its result, wherever it came out.

        The packet is recognised by its identification. So `arrived` may show another source or destination: a
        translation. `via` is a router's address or node. With `trace` the result has a journey; that costs some 10 ms.
        """
        return self._transmit(self.endpoint(origin), packet, via, trace)

    def connect_from_kernel(self, origin: str, to: Destination) -> Attempt:
        """Attempt a TCP connection from a node's own kernel and return the outcome at once, without a timeout.

        An unanswered attempt has sent one SYN. Close the attempt before the kernel repeats the SYN (1 s).
        """
        return self._kernel_sender(origin).connect(destination.pair(to, self.topology))

    def ping(self, origin: str, address: str) -> bool:
        """Return whether an echo request of 84 bytes, sent by a node's own kernel, is answered."""
        return self._kernel_sender(origin).ping(address)

    def send_from_kernel(self, origin: str, protocol: str, to: Destination) -> None:
        """Send from a node's own kernel: a TCP connection attempt, an 8-byte UDP datagram or an ICMP echo request."""
        asked = destination.pair(to, self.topology)
        if protocol == "tcp":
            self.connect_from_kernel(origin, asked).asking.close()
        elif protocol == "icmp":
            self.ping(origin, asked[0])
        else:
            self._kernel_sender(origin).datagram(asked)

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

    def received_by(self, name: str) -> tuple[Packet, ...]:
        """Return every packet that arrived at a node since its endpoint was first used."""
        self.settle()
        return self.endpoint(name).arrivals()

    def _transmit(self, endpoint: Endpoint, packet: Any, via: str | None, trace: bool) -> PacketResult:
        """Send a packet and return its result, once every observer has been notified of it."""
        if trace:
            with self.tracing() as tracing:
                result = self._transmit(endpoint, packet, via, trace=False)
                tracing.journey(result.sent)
            return result
        router = destination.router(via, endpoint.node, self.topology) if via is not None else None
        result = self._transmission.send(endpoint, packet, router)
        for observer in self._observers:
            observer.sent(result)
        return result

    def _kernel_sender(self, name: str) -> KernelSender:
        return KernelSender(self.kernel(name), self._cpu, self._transmission.identities, self.settle_everywhere)

    def _notify_loaded(self) -> None:
        for observer in self._observers:
            observer.loaded(self)

    def _notify_leaving(self) -> None:
        for observer in self._observers:
            observer.leaving(self)

    def _new_transmission(self) -> Transmission:
        located = lambda by: reference.located(by, self.loaded)  # noqa: E731
        shown = ShownRules(located, self.words)
        return Transmission(
            self.topology, self._namespaces, self._cpu, shown, lambda: self._listening.answer(self._cpu)
        )

    def _begin_ledger(self, all_zero: bool) -> None:
        """Begin a ledger of drops for the rules that were just loaded; `all_zero`: none of them has counted yet."""

        def read() -> Counts:
            self.settle()
            return self._rules.counts()

        ledger = DropLedger(read, self._drop_evidence, all_zero)
        self._transmission.use(ledger, self._rules.loaded)

    def _drop_evidence(self, before: Counts | None, after: Counts, length: int) -> DropEvidence:
        """Return what two readings prove about the drop of a packet, under the names that the bed shows."""
        proof = self._rules.proof(before, after, length)
        if proof.by is None:
            return DropEvidence(open_=proof.open_)
        line = self._named_line(proof.by.line)
        return DropEvidence(self._rules.reference(line, self.loaded, self.words), proof.by.rejects)

    def _named_reading(self, counted: CounterReading) -> CounterReading:
        """Return the counters under the names of the rules that the bed shows."""
        return counted

    def _named_line(self, line: CounterLine) -> CounterLine:
        """Return a line of the loaded rules under its name in the rules that the bed shows."""
        return line

    def _named_journey(self, journey: Journey) -> Journey:
        """Return a journey under the names of the rules that the bed shows."""
        return journey

    def _shown_journey(self, journey: Journey) -> Journey:
        shown = self._named_journey(journey)
        for observer in self._observers:
            observer.traced(shown)
        return shown


@dataclass(frozen=True, slots=True)
class _Announced:
    """A watcher that calls a function when a tracing begins, and another when it has ended."""

    begins: Callable[[Tracing], None]
    ended: Callable[[Tracing], None]
