"""The captures of all endpoints of a bed, in which the arrival of a packet is found."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable

from testbed.kernel import receiving
from testbed.traffic.endpoint import Arrival, Endpoint
from testbed.traffic.packet import Packet


class Captures:
    """Collects the arrivals at all endpoints that were added; `log` has them in order of collection.

    epoll(7) names the sockets that have something to read, so the cost does not depend on the number of endpoints.
    """

    def __init__(self, owner_of: Callable[[str], str | None]) -> None:
        """`owner_of` returns the node that has an address."""
        self.log: list[Arrival] = []
        self._owner_of = owner_of
        self._poll = select.epoll()
        self._endpoints: dict[int, Endpoint] = {}
        self._drained = False

    def add(self, endpoint: Endpoint) -> None:
        for opened in endpoint.sockets:
            self._endpoints[opened.fileno()] = endpoint
            self._poll.register(opened.fileno(), select.EPOLLIN)

    def close(self) -> None:
        self._poll.close()

    def settling(self) -> None:
        """Take note that endpoints read their sockets while they settle, so that epoll does not name these."""
        self._drained = True

    def collect(self) -> int:
        """Collect what has arrived; return the number of arrivals so far."""
        ready: Iterable[Endpoint] = (
            dict.fromkeys(self._endpoints.values())
            if self._drained or receiving.reads_ahead()
            else dict.fromkeys(self._endpoints[number] for number, _ in self._poll.poll(0))
        )
        self._drained = False
        for endpoint in ready:
            endpoint.collect()
        return len(self.log)

    def arrival(self, sent: Packet, since: int, settle: Callable[[], None]) -> Arrival | None:
        """Return where a packet arrived, among the arrivals from number `since` on; None once `settle` has shown that
        it is not on its way any more.
        """
        for wait in (None, settle):
            if wait is not None:
                wait()
            self.collect()
            if found := [arrival for arrival in self.log[since:] if arrival.packet.same_as(sent)]:
                return self._original(found)
        return None

    def _original(self, found: list[Arrival]) -> Arrival:
        """Return the arrival of the packet itself: rules may have sent copies, to nodes that lack its destination."""
        if len(found) == 1:
            return found[0]
        return next((one for one in found if self._owner_of(one.packet.destination) == one.node), found[0])
