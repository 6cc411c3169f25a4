"""The ledger of a bed's dropped packets: the counters before a packet that was not delivered, and what they prove."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakSet

from testbed.kernel.counts import Counts
from testbed.observe.packet_result import DropEvidence

Compare = Callable[[Counts | None, Counts, int], DropEvidence]
_CHANGED = DropEvidence(open_="the rules were changed meanwhile")


class CountedPacket:
    """The counters before and after a packet that was not delivered; its evidence is made when it is asked for."""

    def __init__(self, compare: Compare, before: Counts | None, after: Counts, length: int) -> None:
        self._compare = compare
        self._before, self._after, self._length = before, after, length
        self._evidence: DropEvidence | None = None

    @property
    def evidence(self) -> DropEvidence:
        """What the counters prove about the packet."""
        if self._evidence is None:
            changed = self._before is not None and self._before.identity != self._after.identity
            self._evidence = _CHANGED if changed else self._compare(self._before, self._after, self._length)
        return self._evidence


class DropLedger:
    """Reads the counters around packets that are not delivered.

    A delivered packet changes no counter of a line that drops, so the reading before it stays valid for the next
    packet. It does not if other packets may have been dropped meanwhile: `forget` says so, and the next packet costs a
    reading before it is sent.
    """

    def __init__(self, read: Callable[[], Counts], compare: Compare, all_zero: bool) -> None:
        """`compare` proves by two readings (None: all zero); `all_zero` says that no rule has counted yet."""
        self._read = read
        self._compare = compare
        self._all_zero = all_zero
        self._before: Counts | None = None
        self._open: WeakSet[CountedPacket] = WeakSet()

    def forget(self) -> None:
        """Take note that other packets may have been dropped."""
        self._all_zero, self._before = False, None

    def expect(self) -> None:
        """Read the counters before a packet, unless those that matter are known."""
        if self._before is None and not self._all_zero:
            self._before = self._read()

    def counted(self, length: int) -> CountedPacket:
        """Return the counters of the packet that was just sent, settled and not delivered."""
        before, after = self._before, self._read()
        self._all_zero, self._before = False, after
        counted = CountedPacket(self._compare, before, after, length)
        self._open.add(counted)
        return counted

    def close(self) -> None:
        """Make the evidence that may still be asked for, before the rules are replaced."""
        for counted in self._open:
            _ = counted.evidence
