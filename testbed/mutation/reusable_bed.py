"""Beds that are reused from case to case: loading a mutant takes a fraction of the time of building a bed.

A bed is reused only if nothing but packets of scripted endpoints can have left state in it. That state is removed:
connections are flushed, rules and counters replaced, endpoints opened anew. These taint a bed: direct access to a
namespace (its programs, sockets, sysctls), a fragment, and spontaneous messages of kernels, such as ICMP errors, which
kernels send in limited numbers and learn routes from. Rules that keep state (rules/memory.py) taint it too: address
lists, sets, the remainder of a limit.
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
_ERRORS = (3, 4, 5, 11, 12)  # types of ICMP messages that are neither requests nor replies (RFC 792)
_Key = tuple[Topology, str]


class ReusableBed(Testbed):
    """A bed that records whether it can be reused."""

    def __init__(self, topology: Topology, ruleset: AnyRuleset, backend: str = "nft") -> None:
        self._depth = 0
        self._private = False
        self._closed = False
        super().__init__(topology, ruleset, backend)

    def close(self) -> None:
        """Close the bed; cases call this too when they are done with it. It cannot be reused afterwards."""
        self._private = True
        if not self._closed:
            self._closed = True
            super().close()

    @property
    def clean(self) -> bool:
        """Return whether only packets left state in the bed, and only state that can be removed."""
        return not self._private and not self._disturbed()

    def _disturbed(self) -> bool:
        """Return whether an endpoint sent an ICMP error, or a kernel sent a spontaneous one."""
        self.settle()
        ends = self._endpoints.values()
        packets = (packet for end in ends for packet in (*end.arrivals(), *end.sent, *end.departures()))
        routers = {self.topology.host, *(node.name for node in self.topology.nodes if node.passes_on)}
        return any(map(_is_error, packets)) or any(self._namespaces[name].run(sent_errors) for name in routers)

    # Methods that leave only packets behind.

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

    # Methods with unknown effects.

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
        """Call a method of the bed that may use other methods."""
        self._depth += 1
        try:
            return function(*args, **kwargs)
        finally:
            self._depth -= 1


def _is_error(packet: Packet) -> bool:
    return packet.icmp is not None and (packet.protocol != "icmp" or packet.icmp[0] in _ERRORS)


class StandingBeds:
    """Provides beds to cases, and keeps the reusable ones: at most one for each topology."""

    def __init__(self) -> None:
        self._idle: dict[_Key, ReusableBed] = {}

    @contextmanager
    def bed(self, topology: Topology, ruleset: AnyRuleset, backend: str) -> Iterator[Testbed]:
        """Provide a bed: an idle one if there is one, else a new one. Raise what building a bed raises."""
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
        """Return the idle bed of a topology, reset; None if there is none, or it cannot be reset."""
        bed = self._idle.pop(key, None)
        renewed = False
        try:
            renewed = bed is not None and bed.reset(ruleset)
        finally:
            if bed is not None and not renewed:
                bed.close()
        return bed if renewed else None

    def close(self) -> None:
        """Close all idle beds."""
        while self._idle:
            self._idle.popitem()[1].close()

    def _take_back(self, bed: ReusableBed, key: _Key) -> None:
        if key not in self._idle and bed.clean:
            self._idle[key] = bed
        else:
            bed.close()
