"""Beds that stand from case to case: to load a mutant into one takes a fraction of the time that building takes.

A bed is used again only when nothing but the packets of scripted ends can have left something in it, and what these
leave is taken away: connections are forgotten, rules and counters replaced, ends opened anew. Whoever gets at a
namespace (its programs, sockets, sysctls), sends a fragment, or has to do with what kernels say unasked, such as ICMP
errors, which they send in limited numbers and learn routes from, has had the bed for itself. So has a case with rules
that keep state (rules/memory.py): lists of addresses, sets, what a limit has left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from testbed.bed import Testbed
from testbed.kernel.namespace import Namespace
from testbed.kernel.spontaneous_icmp import sent_errors
from testbed.observe.counting import Counting
from testbed.observe.tracing import Tracing
from testbed.rules import AnyRuleset
from testbed.rules.memory import keeps_state
from testbed.rules.ruleset import Ruleset
from testbed.topology import Topology
from testbed.traffic.destination import Destination
from testbed.traffic.endpoint import Endpoint
from testbed.traffic.layers import ScapyPacket
from testbed.traffic.packet import Crossing, Packet
from testbed.traffic.tcp import TcpConversation

P = ParamSpec("P")
T = TypeVar("T")
_ERRORS = (3, 4, 5, 11, 12)  # types of ICMP messages that are no questions or answers (RFC 792)
_Key = tuple[Topology, str]


class ReusableBed(Testbed):
    """A bed that knows whether it may be used again."""

    def __init__(self, topology: Topology, ruleset: AnyRuleset, backend: str = "nft") -> None:
        self._depth = 0
        self._private = False
        self._closed = False
        super().__init__(topology, ruleset, backend)

    def close(self) -> None:
        """Also done by cases that are through with a bed; it does not stand any more."""
        self._private = True
        if not self._closed:
            self._closed = True
            super().close()

    @property
    def clean(self) -> bool:
        """Whether only packets have left something in it, and only what can be taken away."""
        return not self._private and not self._disturbed()

    def _disturbed(self) -> bool:
        """Whether an end has sent an ICMP error, or a kernel has spoken unasked."""
        self.settle()
        ends = self._endpoints.values()
        packets = (packet for end in ends for packet in (*end.arrivals(), *end.sent, *end.departures()))
        routers = {self.topology.host, *(node.name for node in self.topology.nodes if node.passes_on)}
        return any(map(_is_error, packets)) or any(self._namespaces[name].run(sent_errors) for name in routers)

    # what only packets come of

    def tcp(self, *args: Any, **kwargs: Any) -> TcpConversation:
        return self._inside(super().tcp, *args, **kwargs)

    def send(self, origin: str, packet: Any, to: str, via: str | None = None) -> Crossing:
        fragment = getattr(packet, "frag", 0) or "MF" in str(getattr(packet, "flags", ""))
        layers = packet.layers() if isinstance(packet, ScapyPacket) else ()
        self._private |= bool(fragment) or any("Fragment" in layer.__name__ for layer in layers)
        return self._inside(super().send, origin, packet, to, via)

    def ping(self, origin: str, address: str) -> bool:
        return self._inside(super().ping, origin, address)

    def send_from_kernel(self, origin: str, protocol: str, to: Destination) -> None:
        self._inside(super().send_from_kernel, origin, protocol, to)

    def received_by(self, name: str) -> tuple[Packet, ...]:
        return self._inside(super().received_by, name)

    def counting(self) -> Counting:
        return self._inside(super().counting)

    def tracing(self) -> Tracing:
        return self._inside(super().tracing)

    # whatever else may come of these

    @property
    def namespaces(self) -> Mapping[str, Namespace]:
        self._private = True
        return super().namespaces

    @property
    def host(self) -> Namespace:
        self._private = True
        return super().host

    def node(self, name: str) -> Namespace:
        self._private |= not self._depth
        return super().node(name)

    def endpoint(self, name: str) -> Endpoint:
        self._private |= not self._depth
        return self._inside(super().endpoint, name)

    def settle_everywhere(self) -> None:
        self._private |= not self._depth
        super().settle_everywhere()

    def _inside(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the bed that may use others."""
        self._depth += 1
        try:
            return function(*args, **kwargs)
        finally:
            self._depth -= 1


def _is_error(packet: Packet) -> bool:
    return packet.icmp is not None and (packet.protocol != "icmp" or packet.icmp[0] in _ERRORS)


class StandingBeds:
    """Gives beds to cases, and keeps those that may be used again: at most one for each topology."""

    def __init__(self) -> None:
        self._idle: dict[_Key, ReusableBed] = {}

    @contextmanager
    def bed(self, topology: Topology, ruleset: AnyRuleset, backend: str) -> Iterator[Testbed]:
        """A bed for a while: one that stands, if there is one, else a new one. Raises what building one raises."""
        if not isinstance(ruleset, Ruleset) or ruleset.sets or keeps_state(ruleset):
            with Testbed(topology, ruleset, backend) as only:
                yield only
            return
        bed = self._renewed((topology, backend), ruleset) or ReusableBed(topology, ruleset, backend)
        try:
            yield bed
        finally:
            self._take_back(bed, (topology, backend))

    def _renewed(self, key: _Key, ruleset: Ruleset) -> ReusableBed | None:
        """The bed that stands for a topology, as if it were new; None where there is none, or it cannot be."""
        bed = self._idle.pop(key, None)
        renewed = False
        try:
            renewed = bed is not None and bed.reset(ruleset)
        finally:
            if bed is not None and not renewed:
                bed.close()
        return bed if renewed else None

    def close(self) -> None:
        """Close all that stand."""
        while self._idle:
            self._idle.popitem()[1].close()

    def _take_back(self, bed: ReusableBed, key: _Key) -> None:
        if key not in self._idle and bed.clean:
            self._idle[key] = bed
        else:
            bed.close()
