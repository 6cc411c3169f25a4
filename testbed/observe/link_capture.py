"""Every frame on every link of a bed, link by link."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

from testbed.kernel.link_tap import LinkTap
from testbed.kernel.namespace import Namespace
from testbed.topology import Link, Topology


@dataclass(frozen=True, slots=True)
class LinkFrame:
    """A frame that passed a link from one node to another; `at` is the kernel's time in ns since 1970."""

    link: Link
    sender: str
    receiver: str
    at: int
    data: bytes


class LinkCapture:
    """A context manager: while the block runs every frame with an IP packet is captured, once on each link.

    `settle` returns when no packet is on its way. Raises KernelRefused if the kernel lost a frame.
    """

    def __init__(self, topology: Topology, namespaces: Mapping[str, Namespace], settle: Callable[[], object]) -> None:
        self._topology = topology
        self._namespaces = namespaces
        self._settle = settle
        self._taps: list[tuple[Link, LinkTap]] = []
        self.frames: tuple[LinkFrame, ...] = ()

    def __enter__(self) -> LinkCapture:
        try:
            for link in self._topology.links:
                self._taps.append((link, LinkTap(self._namespaces[link.a.node], link.a.device)))
            self._settle()
            for _, tap in self._taps:
                tap.taken()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self._settle()
                found = [frame for link, tap in self._taps for frame in _frames(link, tap)]
                self.frames = tuple(sorted(found, key=lambda frame: frame.at))
        finally:
            self._close()

    def _close(self) -> None:
        while self._taps:
            self._taps.pop()[1].close()


def _frames(link: Link, tap: LinkTap) -> list[LinkFrame]:
    near, far = link.a.node, link.b.node
    return [
        LinkFrame(link, *((near, far) if frame.outgoing else (far, near)), frame.at, frame.data)
        for frame in tap.taken()
    ]
