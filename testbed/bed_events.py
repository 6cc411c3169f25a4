"""The events of a bed, and the observers that are notified of them.

A bed notifies the observers that it was given. A test that makes its beds by itself, as `Testbed(...)`, gives none: its
beds notify the observers of the block in which they are made (`observing`). Such a block belongs to a pytest session.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.bed import Testbed
    from testbed.observe.journey import Journey
    from testbed.observe.packet_result import PacketResult
    from testbed.observe.tracing import Watcher
    from testbed.rules.reading import CounterReading


class BedObserver:
    """Is notified of the events of beds; a subclass overrides the methods that it needs."""

    def loaded(self, bed: Testbed) -> None:
        """Called after a rule set was loaded into a bed; no packet has been sent since."""

    def leaving(self, bed: Testbed) -> None:
        """Called before a bed's rules are replaced or the bed is closed."""

    def read(self, reading: CounterReading) -> None:
        """Called with the counters that the caller of `Testbed.counters` gets."""

    def traced(self, journey: Journey) -> None:
        """Called with a journey that the caller of a tracing gets."""

    def sent(self, result: PacketResult) -> None:
        """Called with the result of a packet before the sender gets it."""

    def watcher(self, bed: Testbed) -> Watcher | None:  # noqa: ARG002 (for those that override it)
        """Return the watcher to notify when the bed is traced, or None."""
        return None


Observers = tuple[BedObserver, ...]
_OF_THE_BLOCK: ContextVar[Observers] = ContextVar("bed observers", default=())


def present_observers() -> Observers:
    """Return the observers of the present block."""
    return _OF_THE_BLOCK.get()


@contextmanager
def observing(observer: BedObserver) -> Iterator[None]:
    """Notify an observer of every bed that is made while the block runs, unless a bed is given others."""
    before = _OF_THE_BLOCK.set((*present_observers(), observer))
    try:
        yield
    finally:
        _OF_THE_BLOCK.reset(before)
