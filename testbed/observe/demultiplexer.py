"""The trace of one node, demultiplexed by packet: the hooks that each packet passed, with the events of each hook."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

from testbed.errors import KernelRefused
from testbed.kernel.checkpoints import (
    CHECKPOINTS,
    DEVICE_CHECKPOINTS,
    FAMILY,
    FIRST,
    LAST,
    REPLY,
    TABLE,
    TRACKED,
    Checkpoint,
)
from testbed.kernel.nfnetlink import FAMILIES
from testbed.kernel.trace_events import TraceEvent
from testbed.kernel.tracer import Tracer
from testbed.observe.header import TracedHeader

_CHECKPOINTS = {f"{FAMILIES[FAMILY]} {TABLE}": CHECKPOINTS, f"netdev {TABLE}": DEVICE_CHECKPOINTS}
_BEGINNINGS = ("INGRESS", "PREROUTING", "OUTPUT")
# A bridge's port and the bridge may both have chains at INGRESS; br_netfilter runs PREROUTING between them.
_NEXT = {
    "INGRESS": ("INGRESS", "PREROUTING", "FORWARD", "INPUT"),
    "PREROUTING": ("FORWARD", "INPUT", "INGRESS"),
    "FORWARD": ("POSTROUTING",),
    "OUTPUT": ("POSTROUTING",),
    "POSTROUTING": ("EGRESS",),
    "EGRESS": ("EGRESS",),
}
_RECENT = 256  # packets that may be between two hooks of a node at once
Cookie = tuple[object, ...]


@dataclass(slots=True)
class Hook:
    """A hook that a packet entered; `after` is None if it did not leave it, `events` are those of the rules."""

    name: str
    entered: int
    left: int
    mark: int
    header: TracedHeader
    after: TracedHeader | None = None
    events: deque[TraceEvent] = field(default_factory=deque)


@dataclass(slots=True)
class Passage:
    """A packet in one node; `said` holds its connection tracking state, empty before the lookup.

    `copy_of` is the passage in whose hook a rule made this copy (TEE, `dup to`), None if it is no copy.
    """

    node: str
    hooks: list[Hook]
    said: list[str] = field(default_factory=list)
    copy_of: Passage | None = None

    @property
    def cookie(self) -> Cookie:
        return self.hooks[0].header.cookie

    @property
    def reply(self) -> bool:
        return REPLY in self.said

    @property
    def state(self) -> str:
        """NEW, ESTABLISHED, RELATED, INVALID or UNTRACKED; empty if the packet did not reach connection tracking."""
        return next((said for said in self.said if said != REPLY), "")

    def goes_on(self, hook: str, header: TracedHeader) -> bool:
        """Return whether a packet that enters a hook is this one, coming from the previous hook."""
        last = self.hooks[-1]
        return last.after is not None and hook in _NEXT.get(last.name, ()) and last.after.cookie == header.cookie

    def was_at(self, hook: Hook) -> bool:
        """Return whether it has passed that hook before, by the same interfaces."""
        return any(
            (own.name, own.header, own.entered, own.left) == (hook.name, hook.header, hook.entered, hook.left)
            for own in self.hooks
        )


class TraceDemultiplexer:
    """Sorts the trace of one node by packet; a packet may be on its way between two calls.

    `heard` says whether the last call read any events, including later events of an earlier packet. `copies` says
    whether rules of the node send copies of packets.
    """

    def __init__(self, node: str, tracer: Tracer, copies: bool = False) -> None:
        self._node = node
        self._tracer = tracer
        self._copies = copies
        self._open: dict[int, Passage] = {}
        self._recent: deque[Passage] = deque(maxlen=_RECENT)
        self.heard = False
        self._legacy: defaultdict[tuple[Cookie, str, int], deque[TraceEvent]] = defaultdict(deque)

    def passages(self) -> list[Passage]:
        """Return the packets that entered the node since the last call, in order."""
        found: list[Passage] = []
        events, legacy_events = self._tracer.events(), self._tracer.legacy_events()
        self.heard = bool(events or legacy_events)
        for event in events:
            if event.table not in _CHECKPOINTS:
                self._of(event).hooks[-1].events.append(event)
            elif event.network or event.rule:
                self._at(_CHECKPOINTS[event.table][event.chain], event, found)
        for event in legacy_events:
            cookie = TracedHeader.read(event.network, event.transport).cookie
            self._legacy[cookie, event.hook, event.left].append(event)
        return found

    def _at(self, checkpoint: Checkpoint, event: TraceEvent, found: list[Passage]) -> None:
        if checkpoint.place == FIRST and event.network:
            self._enter(checkpoint.hook, event, found)
        elif checkpoint.place == TRACKED and event.rule in self._tracer.meanings:
            self._of(event).said.append(self._tracer.meanings[event.rule])
        elif checkpoint.place == LAST:
            self._of(event).hooks[-1].after = TracedHeader.read(event.network, event.transport)

    def _enter(self, name: str, event: TraceEvent, found: list[Passage]) -> None:
        header = TracedHeader.read(event.network, event.transport)
        told = self._legacy_of(header, name, event.left)
        hook = Hook(name, event.entered, event.left, event.mark, header, events=told)
        copied = self._copied(event, hook)
        begins = name in _BEGINNINGS and not self._came_in_by_a_device(event, hook)
        if begins or copied is not None:
            said = copied.said if copied is not None else []
            passage = Passage(self._node, [hook], said, self._original(hook) if name == "OUTPUT" else None)
            found.append(passage)
            self._recent.append(passage)
        else:
            passage = self._before(event, hook)
            passage.hooks.append(hook)
        self._open[event.packet] = passage

    def _legacy_of(self, header: TracedHeader, hook: str, left: int) -> deque[TraceEvent]:
        """Return the queue of iptables-legacy events, present and future, of a packet in a hook; equal packets share
        it.
        """
        return self._legacy[header.cookie, hook, left] if self._tracer.legacy else deque()

    def _original(self, hook: Hook) -> Passage | None:
        """Return the passage that a rule is copying now: the same packet, inside another hook."""
        inside = (p for p in reversed(self._recent) if p.hooks[-1].after is None and p.cookie == hook.header.cookie)
        return next(inside, None) if self._copies else None

    def _came_in_by_a_device(self, event: TraceEvent, hook: Hook) -> bool:
        """Return whether the packet has already passed an earlier hook: INGRESS of its device or of its bridge."""
        if "INGRESS" not in self._tracer.devices:
            return False
        return any(passage.goes_on(hook.name, hook.header) for passage in self._candidates(event))

    def _before(self, event: TraceEvent, hook: Hook) -> Passage:
        """Return the passage that a hook continues; a packet that crosses a bridge gets a new number between hooks."""
        for passage in self._candidates(event):
            if passage.goes_on(hook.name, hook.header):
                return passage
        return self._lost(event)

    def _copied(self, event: TraceEvent, hook: Hook) -> Passage | None:
        """Return the passage that this hook copies: a bridge floods a packet to all ports if it knows none for its
        address.
        """
        before = self._candidates(event)
        if hook.name != "FORWARD" or any(passage.goes_on(hook.name, hook.header) for passage in before):
            return None
        return next((passage for passage in before if passage.was_at(hook)), None)

    def _candidates(self, event: TraceEvent) -> list[Passage]:
        latest = [self._open[event.packet]] if event.packet in self._open else []
        return [*latest, *reversed(self._recent)]

    def _of(self, event: TraceEvent) -> Passage:
        return self._open.get(event.packet) or self._lost(event)

    def _lost(self, event: TraceEvent) -> Passage:
        raise KernelRefused(
            f"the trace of {self._node} is not whole: an event of {event.table} {event.chain} has no beginning.",
            "Begin to trace when no packet is on its way.",
        )
