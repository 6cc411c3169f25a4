"""A trace of a bed that runs whenever its user does not trace the bed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from testbed.observe.journey import Journey
from testbed.observe.tracing import Tracing


class Traceable(Protocol):
    """A bed that can be traced."""

    def background_tracing(self) -> Tracing: ...


class BackgroundTracing:
    """Traces a bed from `trace` on; while another tracing of it runs, this pauses and takes the other's journeys.

    A subclass takes the journeys. `noting` is the context in which errors of the trace are kept from the bed's user.
    """

    def __init__(self, bed: Traceable, noting: Callable[[], AbstractContextManager[None]]) -> None:
        self._traceable = bed
        self._noting = noting
        self._own: Tracing | None = None
        self._others = 0
        self._taken = 0

    def took(self, journeys: Sequence[Journey]) -> None:
        """Called with journeys, each once."""
        raise NotImplementedError

    def traces(self, tracing: Tracing) -> None:
        """Called before an own tracing begins."""

    def trace(self) -> None:
        self._own = self._traceable.background_tracing()
        self._taken = 0
        self.traces(self._own)
        self._own.__enter__()

    def harvest(self) -> None:
        """Take the journeys since the last call."""
        with self._noting():
            if self._own is not None:
                journeys = self._own.journeys()
                self.took(journeys[self._taken :])
                self._taken = len(journeys)

    def pause(self) -> None:
        if self._own is not None:
            self.harvest()
            with self._noting():
                self._own.__exit__(None, None, None)
            self._own = None

    def begins(self, tracing: Tracing) -> None:
        """Pause while another tracing of the bed runs."""
        if tracing is not self._own:
            self.pause()
            self._others += 1

    def ended(self, tracing: Tracing) -> None:
        if tracing is not self._own:
            with self._noting():
                self.took(tracing.journeys())
            self._others -= 1
            if not self._others:
                with self._noting():
                    self.trace()
