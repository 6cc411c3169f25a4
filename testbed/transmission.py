"""Send packets from scripted endpoints and find their results: where each came out, or what stopped it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from testbed.kernel.namespace import Namespace
from testbed.kernel.packets import PacketSocket
from testbed.observe import crosscheck, journey_end
from testbed.observe.drop_ledger import DropLedger
from testbed.observe.packet_result import DropEvidence, Evidence, PacketResult
from testbed.observe.tracing import Tracing
from testbed.rules import AnyRuleset
from testbed.rules.counters import ZERO
from testbed.rules.loaded import sends_copies
from testbed.rules.reading import CounterReading
from testbed.rules.reference import RuleReference
from testbed.rules.ruleset import Ruleset
from testbed.topology import Port, Topology
from testbed.traffic.captures import Captures
from testbed.traffic.endpoint import Endpoint, EndpointInterface, identities
from testbed.traffic.packet import Packet

_NOT_SCRIPTED = DropEvidence(open_="a kernel has the address that it was sent from")


@dataclass(frozen=True, slots=True)
class ShownRules:
    """The rules as the bed shows them: `located` returns a reference with its place in its file, `words` the rules in
    the kernel's words.
    """

    located: Callable[[RuleReference], RuleReference]
    words: Callable[[], Ruleset]


class Transmission:
    """The scripted endpoints of a bed, and the packets that they send."""

    def __init__(
        self,
        topology: Topology,
        namespaces: Mapping[str, Namespace],
        cpu: int,
        rules: ShownRules,
        answer: Callable[[], bool],
    ) -> None:
        """`cpu` is the processor that sends all packets. `answer` has the host's listeners answer what arrived there,
        and returns whether anything did.
        """
        self._topology = topology
        self._namespaces = namespaces
        self._cpu = cpu
        self._rules = rules
        self._answer = answer
        addresses = {str(own.ip): node.name for node in topology.nodes for own in node.addresses}
        self._captures = Captures(addresses.get)
        self._stack = ExitStack()
        self._stack.callback(self._captures.close)
        self._ends = [node for node in topology.nodes if not node.passes_on and node.name != topology.host]
        self._scripted = {end.name for end in self._ends if not any(own.addresses for own in end.interfaces)}
        self.endpoints: dict[str, Endpoint] = {}
        self.identities = identities()
        self.others_may_send = False  # programs on the nodes, at any time
        self._all_open = False
        self._copying = False
        self._ledger: DropLedger | None = None
        self._tracings: list[Tracing] = []
        self._sent = 0

    def close(self) -> None:
        """Close all endpoints, and make the evidence that may still be asked for."""
        self.keep_proofs()
        self._stack.close()

    def endpoint(self, name: str) -> Endpoint:
        """Return the scripted endpoint of a node, on all of its interfaces; each node has one."""
        if name not in self.endpoints:
            interfaces, node = self._topology.node(name).interfaces, self._namespaces[name]
            ends = [EndpointInterface(Port(name, own.name), own, PacketSocket(node, own.name)) for own in interfaces]
            for end in ends:
                self._stack.callback(end.socket.close)
            opened = Endpoint(self._topology, name, ends, self._cpu, self.identities, self._captures.log)
            self.endpoints[name] = opened
            self._captures.add(opened)
        return self.endpoints[name]

    def open_ends(self) -> list[Endpoint]:
        """Return the endpoints of all nodes that are neither routers nor switches; from here on all of them capture."""
        if not self._all_open:
            for node in self._ends:
                self.endpoint(node.name)
            self._all_open = True
        return [self.endpoints[node.name] for node in self._ends]

    def settle(self) -> None:
        """Return when no packet that an endpoint sent is on its way any more, and no answer of the host's listeners."""
        self._captures.settling()
        self._settle_endpoints()
        while self._answer():
            for endpoint in self.endpoints.values():
                endpoint.settled = False
            self._settle_endpoints()

    def _settle_endpoints(self) -> None:
        for endpoint in self.endpoints.values():
            endpoint.settle()

    def settle_everywhere(self) -> None:
        """Return when no packet that a node's kernel sent or answered on this processor is on its way."""
        for endpoint in self.open_ends():
            endpoint.settled = False
        self.settle()

    def use(self, ledger: DropLedger, rules: AnyRuleset) -> None:
        """Use the ledger of rules that were just loaded."""
        self._ledger = ledger
        self._copying = sends_copies(rules)

    def keep_proofs(self) -> None:
        """Prove the drops that may still be asked for, before the rules go."""
        if self._ledger is not None:
            self._ledger.close()

    def begin_tracing(self, tracing: Tracing) -> None:
        """Give the packets sent from now on their journeys from this tracing."""
        self._tracings.append(tracing)

    def end_tracing(self, tracing: Tracing) -> None:
        self._tracings.remove(tracing)

    def send(self, origin: Endpoint, packet: Any, via: str | None) -> PacketResult:
        """Send a packet from a node's endpoint and return its result."""
        self.open_ends()
        assert self._ledger is not None
        number = sum(endpoint.put_count for endpoint in self.endpoints.values())
        tracing = self._tracings[-1] if self._tracings else None
        if self.others_may_send or self._copying or number != self._sent:
            self._ledger.forget()
        if tracing is None:
            self._ledger.expect()
        since = self._captures.collect()
        sent = origin.send(packet, via)
        self._sent = number + 1
        arrival = self._captures.arrival(sent, since, self.settle)
        answers = partial(self._answers, self._captures, sent, origin.node, since)
        drop = None
        if arrival is not None:
            answers = partial(self._answers_so_far, answers, arrival.node)
        else:
            drop = self._counted_drop(self._ledger, sent, origin.node) if tracing is None else None
            answers = partial(tuple, answers())  # one reading of what has come back decides its verdict
        if tracing is not None or (arrival is not None and arrival.node not in self._scripted):
            self._ledger.forget()
        return PacketResult(origin.node, sent, arrival, self._evidence(drop, answers, tracing, sent))

    def _evidence(
        self,
        drop: Callable[[], DropEvidence] | None,
        answers: Callable[[], tuple[Packet, ...]],
        tracing: Tracing | None,
        sent: Packet,
    ) -> Evidence:
        if tracing is None:
            return Evidence(drop, answers)
        journey = partial(tracing.journey, sent)
        return Evidence(drop, answers, journey, partial(self._counted, journey), self._rules.located)

    def _counted_drop(self, ledger: DropLedger, sent: Packet, origin: str) -> Callable[[], DropEvidence]:
        """Return a function that says what the counters prove about a packet that was not delivered."""
        if origin not in self._scripted:
            ledger.forget()
            return lambda: _NOT_SCRIPTED
        counted = ledger.counted(sent.length)
        return lambda: counted.evidence

    def _answers(self, captures: Captures, sent: Packet, origin: str, since: int) -> tuple[Packet, ...]:
        """Return what has come back to the origin of a packet up to now."""
        captures.collect()
        arrivals = (arrival.packet for arrival in captures.log[since:] if arrival.node == origin)
        return tuple(journey_end.answers(sent, arrivals))

    def _answers_so_far(self, answers: Callable[[], tuple[Packet, ...]], node: str) -> tuple[Packet, ...]:
        """Return what has come back for a packet that came out at a node, once nothing is on its way."""
        if node in self._scripted:
            self.settle()
        else:
            self.settle_everywhere()  # that node's kernel may have answered
        return answers()

    def _counted(self, journey: Callable[[], Any]) -> CounterReading:
        """Return what a traced packet and its copies made every rule count."""
        found = journey()
        words = self._rules.words()
        lines = [(table.name, rule.text, ZERO) for table, rule in words.rules]
        lines += [
            (table.name, f":{chain.name} {chain.policy}", ZERO)
            for table in words.tables
            for chain in table.chains
            if chain.policy is not None
        ]
        return crosscheck.traced([found, *found.copies], CounterReading.of(lines))
