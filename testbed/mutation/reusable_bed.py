"""Beds that are reused from case to case: loading a mutant takes a fraction of the time of building a bed.

A bed is reused only if nothing but packets of scripted endpoints can have left state in it. That state is removed:
connections are flushed, rules and counters replaced, endpoints opened anew. Every other use taints a bed: whatever
gives access to a namespace (its programs, sockets, sysctls), and every attribute that is not listed here. These taint
it too: a fragment, and spontaneous messages of kernels, such as ICMP errors, which kernels send in limited numbers and
learn routes from. So do rules that keep state (rules/memory.py): address lists, sets, the remainder of a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from testbed.bed import Testbed
from testbed.bed_events import present_observers
from testbed.kernel.spontaneous_icmp import sent_errors
from testbed.mutation.injection import Injection
from testbed.mutation.mutant_bed import MutantBed, injected
from testbed.rules import AnyRuleset
from testbed.rules.memory import keeps_state
from testbed.topology import Topology
from testbed.traffic.layers import ScapyPacket
from testbed.traffic.packet import Packet

_ERRORS = (3, 4, 5, 11, 12)  # types of ICMP messages that are neither requests nor replies (RFC 792)
_Key = tuple[Topology, str]
VALUES = {"topology", "backend", "loaded", "processor", "keeps_state", "closed"}
METHODS = {  # that leave behind nothing, or only packets of scripted endpoints and of sockets that were closed
    *("load", "reset", "ruleset", "words", "counters", "raw_counters", "counting", "tracing", "background_tracing"),
    *("settle", "connections", "forget_connections", "received_by"),
    *("connect", "send", "ping", "send_from_kernel", "free_port"),
    *("renew", "is_clean"),
}


class ReusableBed(MutantBed):
    """A bed that records whether it can be reused: any use that is not known to be harmless taints it."""

    _depth = 1  # of methods of the bed that run: what they use of the bed is no use by the case
    _tainted = False

    def __init__(self, topology: Topology, ruleset: AnyRuleset, backend: str, injection: Injection) -> None:
        super().__init__(topology, ruleset, backend, injection)
        self._depth = 0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name in VALUES:
            return found
        if name in METHODS:
            return self._watched(found)
        self._tainted |= not self._depth
        return found

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method that may use other attributes of the bed, and taints it by a fragment."""

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            self._tainted |= any(map(_is_fragment, (*args, *kwargs.values())))
            self._depth += 1
            try:
                return method(*args, **kwargs)
            finally:
                self._depth -= 1

        return call

    def close(self) -> None:
        """Close the bed; cases call this too when they are done with it. It cannot be reused afterwards."""
        self._tainted = True
        super().close()

    def renew(self, ruleset: AnyRuleset, injection: Injection) -> bool:
        """Load rules for the next case; return whether the bed is like a new one."""
        self._injection, self._observers = injection, present_observers()
        return self.reset(ruleset)

    def is_clean(self) -> bool:
        """Return whether only packets left state in the bed, and only state that can be removed."""
        return not self._tainted and not self._disturbed()

    def _disturbed(self) -> bool:
        """Return whether an endpoint sent an ICMP error, or a kernel sent a spontaneous one."""
        self.settle()
        ends = self._transmission.endpoints.values()
        packets = (packet for end in ends for packet in (*end.arrivals(), *end.sent, *end.departures()))
        routers = {self.topology.host, *(node.name for node in self.topology.nodes if node.passes_on)}
        return any(map(_is_error, packets)) or any(self._namespaces[name].run(sent_errors) for name in routers)


def _is_error(packet: Packet) -> bool:
    return packet.icmp is not None and (packet.protocol != "icmp" or packet.icmp[0] in _ERRORS)


def _is_fragment(value: object) -> bool:
    if not isinstance(value, ScapyPacket):
        return False
    fragment = getattr(value, "frag", 0) or "MF" in str(getattr(value, "flags", ""))
    return bool(fragment) or any("Fragment" in layer.__name__ for layer in value.layers())


class BedPool:
    """Provides beds to cases, and keeps the reusable ones: at most one for each topology.

    `reuse`: whether beds are reused at all.
    """

    def __init__(self, reuse: bool = True) -> None:
        self._reuse = reuse
        self._injection = Injection()
        self._idle: dict[_Key, ReusableBed] = {}

    @contextmanager
    def injecting(self, injection: Injection) -> Iterator[None]:
        """Provide beds with the rules that an injection changes, while the block runs."""
        before, self._injection = self._injection, injection
        try:
            with injected(injection):
                yield
        finally:
            self._injection = before

    @contextmanager
    def bed(self, topology: Topology, ruleset: AnyRuleset, backend: str) -> Iterator[Testbed]:
        """Provide a bed: an idle one if there is one, else a new one. Raise what building a bed raises."""
        if not self._reuse or ruleset.as_iptables is None or ruleset.sets or keeps_state(ruleset):
            with MutantBed(topology, ruleset, backend, self._injection) as only:
                yield only
            return
        key = topology, backend
        bed = self._renewed(key, ruleset) or ReusableBed(topology, ruleset, backend, self._injection)
        try:
            yield bed
        finally:
            self._take_back(bed, key)

    def _renewed(self, key: _Key, ruleset: AnyRuleset) -> ReusableBed | None:
        """Return the idle bed of a topology, reset; None if there is none, or it cannot be reset."""
        bed = self._idle.pop(key, None)
        renewed = False
        try:
            renewed = bed is not None and bed.renew(ruleset, self._injection)
        finally:
            if bed is not None and not renewed:
                bed.close()
        return bed if renewed else None

    def close(self) -> None:
        """Close all idle beds."""
        while self._idle:
            self._idle.popitem()[1].close()

    def _take_back(self, bed: ReusableBed, key: _Key) -> None:
        if key not in self._idle and bed.is_clean():
            self._idle[key] = bed
        else:
            bed.close()
