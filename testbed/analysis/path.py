"""The way of packets through a host: hooks by priority, connection tracking, translation, routing, bridges.

Packets are followed together: those that come by an interface, those that a bridge passes on, and the host's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from testbed.analysis import native, native_clauses
from testbed.analysis.chains import Decision, Effect, Matcher, Walk, matching
from testbed.analysis.changed_rules import ChangedRules, Follow
from testbed.analysis.context import Context
from testbed.analysis.opaque import OpaqueClause, OpaqueClauses
from testbed.analysis.packets import LOCAL, STATE_BITS, Interfaces, State, SymbolicPacket
from testbed.analysis.routing import LOOPBACK, Routed, Routing
from testbed.analysis.rules import AnalysedChain, AnalysedRule, Manip, Program, Translate
from testbed.analysis.sets import reader
from testbed.analysis.space import Space, empty
from testbed.analysis.translation import MANIP, AddressPort, Binding, end_of, put, translate
from testbed.analysis.vector import PacketSet, Vector
from testbed.rules.reference import RuleReference

_TRACKING = -200  # NF_IP_PRI_CONNTRACK
_TRANSLATING = {Manip.DESTINATION: -100, Manip.SOURCE: 100}  # NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC
_NOWHERE = RuleReference("", "", None, "")


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The outcome of packets: `delivered` to the host itself, `forwarded` by the interface `packet.left`, or closed.

    `decisions` are those of every base chain, `packet` is what they are like in the end. `arrived` are the packets that
    came to each hook, `touched` those that matched a changed rule.
    """

    packets: PacketSet
    packet: SymbolicPacket
    delivered: PacketSet
    forwarded: PacketSet
    decisions: tuple[Decision, ...]
    effects: tuple[Effect, ...]
    evaluations: tuple[tuple[OpaqueClause, PacketSet], ...]
    expired: PacketSet  # their time to live ended here, and the host says so
    arrived: Mapping[str, PacketSet]
    touched: PacketSet

    @property
    def passed(self) -> PacketSet:
        return self.delivered | self.forwarded


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """What connection tracking finds of packets: the state that they get, what their connection remembers.

    Without a binding their connections are new.
    """

    state: Vector
    binding: Binding | None = None


@dataclass(slots=True, eq=False)
class HostPath:
    """One pass of packets through a host with a rule set."""

    space: Space
    interfaces: Interfaces
    routing: Routing
    program: Program
    walk: Walk
    tracked: Tracked
    leading: ChangedRules | None = None  # only what leads to changed rules is followed
    arrived: dict[str, PacketSet] = field(default_factory=dict)
    bound: PacketSet = field(init=False)
    expired: PacketSet = field(init=False)

    def __post_init__(self) -> None:
        self.bound = self.expired = self.space.none

    @classmethod
    def start(
        cls,
        space: Space,
        interfaces: Interfaces,
        routing: Routing,
        opaque: OpaqueClauses,
        program: Program,
        packet: SymbolicPacket,
        tracked: Tracked,
    ) -> HostPath:
        sets = reader(program.sets)
        context = Context(space, interfaces, routing, opaque, packet, _NOWHERE, space.none, sets=sets)
        chains = {(chain.table, chain.name): chain for chain in program.chains}
        return cls(space, interfaces, routing, program, Walk(context, chains, translate, _matcher(program)), tracked)

    @property
    def packet(self) -> SymbolicPacket:
        return self.walk.context.packet

    def _set(self, packet: SymbolicPacket) -> None:
        self.walk.context.packet = packet

    def follow(self, packets: PacketSet) -> Outcome:
        """Follow packets from where they begin: an interface, or the host itself."""
        own = self.space.equal(self.packet.entered, self.interfaces.number(LOCAL))
        delivered, forwarded = self._incoming(packets & ~own)
        looped, sent = self._outgoing(packets & own)
        walk = self.walk
        return Outcome(
            packets,
            self.packet,
            delivered | looped,
            forwarded | sent,
            tuple(walk.decisions),
            tuple(walk.effects),
            tuple(walk.context.opaque.evaluations),
            self.expired,
            self.arrived,
            walk.touched,
        )

    def _incoming(self, packets: PacketSet) -> tuple[PacketSet, PacketSet]:
        space = self.space
        if empty(packets):
            return space.none, space.none
        before = self.packet.destination
        inside = self._hook("PREROUTING", packets)
        unchanged = space.same(before, self.packet.destination)
        routed = self.routing.incoming(self.packet)
        kept = inside & (self.packet.bridged & unchanged | ~unchanged & self._translated_on_bridge(routed))
        local = inside & ~kept & routed.local
        alive = ~space.at_most(self.packet.ttl, 1)
        passed_on = inside & ~kept & routed.passed_on & alive
        self.expired = inside & ~kept & routed.passed_on & ~alive
        left = space.choose(kept, self.packet.entered, space.choose(passed_on, routed.left, self.packet.left))
        ttl = space.choose(passed_on, space.decremented(self.packet.ttl), self.packet.ttl)
        self._set(replace(self.packet, left=left, ttl=ttl))
        forwarded = self._hook("POSTROUTING", self._hook("FORWARD", passed_on | kept))
        return self._hook("INPUT", local), forwarded

    def _translated_on_bridge(self, routed: Routed) -> PacketSet:
        """Packets that a bridge passes on to a translated destination behind it (br_nf_pre_routing_finish)."""
        entered, left = self.packet.entered, routed.left
        same = (self.space.equal(entered, number) & self.space.equal(left, number) for number in self.routing.bridges)
        return routed.passed_on & self.space.any_of(same)

    def _outgoing(self, packets: PacketSet) -> tuple[PacketSet, PacketSet]:
        space = self.space
        if empty(packets):
            return space.none, space.none
        routed = self.routing.outgoing(self.packet)
        packets = packets & routed.passed_on
        self._leave(packets, routed.left)
        sent = self._hook("OUTPUT", packets)
        routed = self.routing.outgoing(self.packet)  # once more, with what rules have made of the destination
        sent = sent & routed.passed_on
        self._leave(sent, routed.left)
        sent = self._hook("POSTROUTING", sent)
        loops = sent & space.equal(self.packet.left, self.interfaces.number(LOOPBACK))
        return self._looped(loops), sent & ~loops

    def _looped(self, packets: PacketSet) -> PacketSet:
        """Packets of the host to itself come in again by its loopback; their connection is known, and translated."""
        space = self.space
        if empty(packets):
            return space.none
        loopback = space.constant(self.interfaces.number(LOOPBACK), self.interfaces.width)
        outside = space.constant(self.interfaces.number(LOCAL), self.interfaces.width)
        entered = space.choose(packets, loopback, self.packet.entered)
        left = space.choose(packets, outside, self.packet.left)
        self._set(replace(self.packet, entered=entered, left=left))
        inside = self._hook("PREROUTING", packets, again=True)
        inside = self._hook("INPUT", inside & self.routing.incoming(self.packet).local)
        self._set(replace(self.packet, left=space.choose(packets, loopback, self.packet.left)))
        return inside

    def _leave(self, packets: PacketSet, left: Vector) -> None:
        self._set(replace(self.packet, left=self.space.choose(packets, left, self.packet.left)))

    def _hook(self, name: str, packets: PacketSet, again: bool = False) -> PacketSet:
        """Take packets through the chains of a hook; `again`: connection tracking and translation have seen them."""
        self.walk.context.hook = name
        self.arrived[name] = self.arrived[name] | packets if name in self.arrived else packets
        tracking = name in ("PREROUTING", "OUTPUT") and not again
        manip = MANIP.get(name)
        translated = manip is None or again
        for chain in self._in_order(name):
            if empty(packets):
                return packets
            if tracking and chain.priority > _TRACKING:
                self._track(packets)
                tracking = False
            if manip is not None and not translated and self._priority(chain, manip) >= _TRANSLATING[manip]:
                self._remember(packets, manip)
                translated = True
            if not chain.translates:
                packets = self._through(chain, packets)
            elif manip is not None and not again and self.tracked.binding is None:
                packets = self._new(chain, packets)
        if tracking:
            self._track(packets)
        if manip is not None and not translated:
            self._remember(packets, manip)
        self.bound = self.space.none
        return packets

    def _in_order(self, hook: str) -> Iterable[AnalysedChain]:
        manip = MANIP.get(hook)
        chains = [chain for chain in self.program.chains if chain.hook == hook]
        return sorted(chains, key=lambda chain: (self._priority(chain, manip), chain.priority))

    @staticmethod
    def _priority(chain: AnalysedChain, manip: Manip | None) -> int:
        """Where a chain runs: those that translate run at one place, whatever their own priority."""
        return _TRANSLATING[manip] if chain.translates and manip is not None else chain.priority

    def _through(self, chain: AnalysedChain, packets: PacketSet) -> PacketSet:
        versions = self._versions(chain)
        if self.leading is not None:
            follow = self.leading.follow[chain.table, chain.name]
            if follow is not Follow.ALL:
                if follow is Follow.LEADING:
                    self.walk.only = self.leading.leading
                    self.walk.base(chain, packets & versions)
                    self.walk.only = None
                return packets
        return packets & ~versions | self.walk.base(chain, packets & versions)

    def _new(self, chain: AnalysedChain, packets: PacketSet) -> PacketSet:
        """Take the packets of new connections that no chain has bound yet through one that translates."""
        context = self.walk.context
        asked = packets & self._versions(chain) & context.state_is(State.NEW) & ~self.bound
        start = len(self.walk.decisions)
        passed = self.walk.base(chain, asked)
        for decision in self.walk.decisions[start:]:
            if isinstance(decision.translation, Translate):
                self.bound = self.bound | decision.packets
        return packets & ~asked | passed

    def _versions(self, chain: AnalysedChain) -> PacketSet:
        six = self.packet.six
        families = {4: ~six, 6: six}
        return self.space.any_of(families[version] for version in chain.versions)

    def _track(self, packets: PacketSet) -> None:
        space, packet = self.space, self.packet
        untracked = space.equal(packet.state, State.UNTRACKED)
        kept = space.constant(State.UNTRACKED, STATE_BITS)
        state = space.choose(untracked, kept, self.tracked.state)
        self._set(replace(packet, state=space.choose(packets, state, packet.state)))

    def _remember(self, packets: PacketSet, manip: Manip) -> None:
        """Translate packets as their connection's first one was."""
        binding = self.tracked.binding
        if binding is None:
            return
        end, where = binding.end(manip)
        context = self.walk.context
        port = self.space.choose(context.with_ports, end.port, end_of(self.packet, manip).port)
        self._set(put(context, packets & where & context.tracked, manip, AddressPort(end.address, port)))


def _matcher(program: Program) -> Matcher:
    """What finds the packets that meet a rule, in the rule set's syntax."""
    if not program.native:
        return matching
    sets = native.sets_of(program)

    def match(context: Context, rule: AnalysedRule) -> PacketSet:
        return native_clauses.packets_of(context, rule.clauses, sets.get(rule.reference.table, {}))

    return match
