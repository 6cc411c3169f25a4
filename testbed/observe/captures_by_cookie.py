"""The packets that the endpoints of a bed sent and captured while it is traced, by the cookie that identifies each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from testbed.observe.demultiplexer import Cookie
from testbed.observe.header import TracedHeader, cookie_of
from testbed.traffic.endpoint import Endpoint
from testbed.traffic.packet import Packet


class CapturesByCookie:
    """The packets that the endpoints of a bed sent and captured, by cookie."""

    def __init__(self, endpoints: Callable[[], Mapping[str, Endpoint]]) -> None:
        self._endpoints = endpoints
        self._sent: dict[Cookie, tuple[str, Packet]] = {}
        self._arrived: defaultdict[Cookie, list[tuple[str, Packet]]] = defaultdict(list)
        self._known: dict[str, tuple[int, int, int]] = {}
        self._before: dict[str, int] = {}

    def begin(self) -> None:
        """Skip the packets captured so far."""
        for name, endpoint in self._endpoints().items():
            self._known[name] = len(endpoint.arrivals()), len(endpoint.departures()), len(endpoint.sent)
            self._before[name] = self._known[name][0]

    def collect(self) -> None:
        """Collect the packets captured since the last call."""
        for name, endpoint in self._endpoints().items():
            seen, left, sent = endpoint.arrivals(), endpoint.departures(), endpoint.sent
            old_seen, old_left, old_sent = self._known.get(name, (0, 0, 0))
            for packet in seen[old_seen:]:
                self._arrived[cookie_of(packet)].append((name, packet))
            self._sent.update((cookie_of(packet), (name, packet)) for packet in (*left[old_left:], *sent[old_sent:]))
            self._known[name] = len(seen), len(left), len(sent)

    def sent(self, cookie: Cookie) -> Packet | None:
        return self._sent[cookie][1] if cookie in self._sent else None

    def origin(self, packet: Packet) -> str | None:
        """Return the node that sent a packet, or None if no endpoint sent it."""
        cookie = cookie_of(packet)
        return self._sent[cookie][0] if cookie in self._sent else None

    def arrivals(self, cookie: Cookie) -> Sequence[tuple[str, Packet]]:
        """Return every arrival of a packet and of its copies, in order."""
        return self._arrived.get(cookie, ())

    def arrived(self, cookie: Cookie, left_as: TracedHeader | None) -> tuple[str, Packet] | None:
        """Return where a packet arrived; among equal packets (a kernel's resets) the one with these addresses."""
        found = self._arrived.get(cookie, [])
        if len(found) > 1 and left_as is not None:
            found = [one for one in found if (one[1].from_, one[1].to) == (left_as.from_, left_as.to)]
        return found[0] if found else None

    def at(self, node: str) -> Iterator[Packet]:
        """Yield every packet that arrived at a node since tracing began."""
        endpoints = self._endpoints()
        return iter(endpoints[node].seen[self._before.get(node, 0) :] if node in endpoints else ())
