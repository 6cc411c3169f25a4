"""The counters of a piece of traffic: a reading before, a reading after, and the packets captured meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice

from testbed.errors import TestbedError
from testbed.rules.counters import Counters
from testbed.rules.reading import CounterDifference, CounterLine, CounterReading
from testbed.traffic.packet import Packet


class Counted(CounterReading):
    """The counters since `counting()` began, with the packets that arrived at any endpoint meanwhile."""

    def __init__(self, counted: dict[CounterLine, Counters], seen: tuple[Packet, ...]) -> None:
        super().__init__(counted)
        self.seen = seen


class Counting:
    """A context manager: `with bed.counting() as counting: ...`, then `counting.result`."""

    def __init__(self, read: Callable[[], CounterReading], seen: Callable[[], list[tuple[Packet, ...]]]) -> None:
        self._read = read
        self._seen = seen
        self._before: CounterReading | None = None
        self._seen_before: list[int] = []
        self._final: Counted | None = None

    def __enter__(self) -> Counting:
        self._seen_before = [len(packets) for packets in self._seen()]
        self._before = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self._final = self.so_far()

    def so_far(self) -> Counted:
        """Return the counters up to now."""
        if self._before is None:
            raise TestbedError("counting has not begun.", "Use it as `with bed.counting() as counting:`.")
        delta = self._read() - self._before
        new = (islice(packets, old, None) for packets, old in zip(self._seen(), self._seen_before, strict=True))
        return Counted(dict(delta), tuple(packet for packets in new for packet in packets))

    @property
    def result(self) -> Counted:
        """The counters of the block; inside the block, up to now."""
        return self._final if self._final is not None else self.so_far()


def hints(differences: Iterable[CounterDifference], seen: Iterable[Packet]) -> list[str]:
    """Return the common causes of such counter differences that the captured packets support."""
    packets = [packet for packet in seen if packet.protocol == "tcp"]
    found = []
    if reset := next((packet for packet in packets if "R" in packet.flags), None):
        found.append(
            f"a reset was seen ({reset}): is there a kernel that was not told of this connection, or a closed port?"
        )
    times = Counter(
        (p.from_, p.to, p.flags, p.seq, p.payload) for p in packets if p.payload or set("SF") & set(p.flags)
    )
    if again := next((key for key, number in times.items() if number > 1), None):
        found.append(f"a packet was seen {times[again]} times ({again[0]} > {again[1]}): a retransmission.")
    asked = {(packet.from_, packet.to) for packet in packets if packet.flags == "S"}
    if len(asked) > 1:
        found.append(f"{len(asked)} connections were opened; each counts once in the nat table.")
    wrong = [d for d in differences if not d.equal]
    if any(d.actual is None for d in wrong):
        found.append("a rule that was expected is not in this rule set: was it changed or taken out?")
    if wrong and all(d.line.table == "nat" for d in wrong) and not found:
        found.append(
            "only nat differs: its rules see the first packet of a connection, later ones use what is tracked."
        )
    return found
