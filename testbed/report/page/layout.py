"""The layout of a bed's map: the nodes around the host, the host with its devices, its containers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from testbed.topology import Bridge, Interface, Link, Node, Port, Topology

# All in the drawing's units, which are pixels where the map has room.
MARGIN = 12
HEADING, LINE = 26, 16  # height of a box's name and of each line below it
PADDING = 8
LONGEST = 24  # characters; longer text is cut
_CHARACTER, _BOLD = 6.7, 8.2  # widths of a character, in page.css's monospaced 11 px and in its bold 13 px
_FOR_THE_DOT = 22  # empty space on the right of a box
_EDGE = 4  # above the lines of a flat box
_GAP, _FLAT_GAP = 14, 8  # between boxes
_MAX_DRAWN_CONTAINERS = 6  # containers; more are drawn flat if the map is wide
_TO_NEXT = 34  # between linked boxes, one below the other
_LAN, _MIDDLE = 60, 56  # widths: of the LAN's cable, of the host between its devices
_VETHS, _NARROW_VETHS = 104, 84  # and between the host and its containers
_TOP_OF_HOST = 34


@dataclass(frozen=True, slots=True)
class Point:
    """A point on the map. A path between two points that is not straight turns at the point with more `turns`."""

    x: float
    y: float
    turns: int = 0

    def __str__(self) -> str:
        return f"{self.x:g} {self.y:g}"


@dataclass(frozen=True, slots=True)
class Box:
    """A node or a device of the host: its name, and below it a line for each of its devices or addresses.

    In a flat box the lines are beside the name, `beside` from the box's left.
    """

    name: str
    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float
    kind: str
    beside: float = 0

    @classmethod
    def around(
        cls, name: str, lines: Sequence[str], x: float, y: float, width: float, kind: str, beside: float = 0
    ) -> Box:
        """Return a box as high as its lines need."""
        height = (_EDGE if beside else HEADING) + len(lines) * LINE + PADDING / 2
        return cls(name, tuple(lines), x, y, width, height, kind, beside)

    @property
    def plug(self) -> Point:
        """Return the point of a packet that is in the box."""
        return Point(self.right - _FOR_THE_DOT / 2 - 3, self.line(0), int(self.kind == "bridge"))

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def line(self, number: int) -> float:
        """Return the height of a line."""
        return self.y + (_EDGE if self.beside else HEADING) + (number + 0.5) * LINE

    @property
    def name_at(self) -> float:
        """Return the height of its name."""
        return self.line(0) if self.beside else self.y + HEADING / 2 + 1


class Layout:
    """The LAN's nodes on the left, the host in the middle, its containers on the right.

    For narrow screens the LAN's nodes are above the host instead, and the host's bridges below its interfaces.
    """

    def __init__(self, topology: Topology, narrow: bool = False) -> None:
        self.host = topology.node(topology.host)
        self.switch = next((node for node in topology.nodes if node.bridges and not node.addresses), None)
        self.links = topology.links
        self._peers = {end: link.other(end) for link in topology.links for end in (link.a, link.b)}
        self._narrow = narrow
        inside = {self._peers[Port(self.host.name, own.name)].node for own in self.host.interfaces if own.master}
        containers = [node for node in topology.nodes if node.name in inside and node.addresses]
        around = [node for node in topology.nodes if node not in (self.host, self.switch, *containers)]

        self.nodes = {box.name: box for box in self._column(around)}
        self.bus = max((box.right for box in self.nodes.values()), default=MARGIN) + _LAN / 2
        corner = self._corner()
        self.devices = {box.name: box for box in self._own_devices(corner)}
        self._center, bridges_at = self._inside(corner)
        self._put_bridges(bridges_at, containers)
        self.frame = self._frame(corner, [self.nodes[node.name] for node in containers])

    @property
    def size(self) -> tuple[float, float]:
        boxes = [self.frame, *self.nodes.values()]
        return max(box.right for box in boxes) + MARGIN, max(box.bottom for box in boxes) + MARGIN

    def place(self, node: str, device: str = "") -> Point:
        """Return the point of a packet at a device of a node, or in the node."""
        if self.switch is not None and node == self.switch.name:
            return self._lan
        if node != self.host.name:
            return self.nodes[node].plug
        box = self.devices.get(self.master(device) or device)
        return box.plug if box is not None else self._center

    def between(self, one: str, other: str) -> Point | None:
        """Return the point that a packet passes between two nodes of one LAN."""
        return self._lan if one != other and {one, other} <= {port.node for port in self.plugged} else None

    @property
    def plugged(self) -> list[Port]:
        """Return the ports that are connected to the LAN."""
        return [self._peers[Port(self.switch.name, own.name)] for own in self.switch.interfaces] if self.switch else []

    def master(self, device: str) -> str | None:
        """Return the bridge that a device of the host is a port of."""
        return next((own.master for own in self.host.interfaces if own.name == device), None)

    @property
    def _lan(self) -> Point:
        """Return the point on the LAN's cable where the host is connected."""
        own = next((box for box in self.devices.values() if box.kind == "device"), self.frame)
        return Point(self.bus, own.line(0), 2)

    def _corner(self) -> tuple[float, float]:
        """Return the corner of the host."""
        if self._narrow:
            return MARGIN, max((box.bottom for box in self.nodes.values()), default=0.0) + _TO_NEXT
        return self.bus + _LAN / 2, MARGIN

    def _inside(self, corner: tuple[float, float]) -> tuple[Point, tuple[float, float]]:
        """Return the point where the host routes, and the corner of its bridges."""
        x, y = corner[0] + PADDING, corner[1] + _TOP_OF_HOST
        own = list(self.devices.values())
        right, bottom = max((box.right for box in own), default=x), max((box.bottom for box in own), default=y)
        if self._narrow:
            return Point(own[0].plug.x if own else x, bottom + _TO_NEXT / 2, 2), (x, bottom + _TO_NEXT)
        return Point(right + _MIDDLE / 2, y + HEADING + LINE / 2, 2), (right + _MIDDLE, y)

    def _column(self, nodes: Sequence[Node]) -> Iterator[Box]:
        """Yield the nodes around the host, one below the other."""
        width = _width((node.name, _ends(node)) for node in nodes)
        y, above = float(MARGIN), None
        for node in nodes:
            if above is not None:
                y += _TO_NEXT if self._joined(above, node) else _GAP
            yield (box := Box.around(node.name, _ends(node), MARGIN, y, width, "node"))
            y, above = box.bottom, node

    def _joined(self, one: Node, other: Node) -> bool:
        return any({link.a.node, link.b.node} == {one.name, other.name} for link in self.links)

    def _own_devices(self, corner: tuple[float, float]) -> Iterator[Box]:
        """Yield the host's devices that are not ports of its bridges."""
        own = [device for device in self.host.interfaces if device.master is None]
        width = self._width_of(own)
        y = corner[1] + _TOP_OF_HOST
        for device in own:
            yield (box := Box.around(device.name, _addresses(device), corner[0] + PADDING, y, width, "device"))
            y = box.bottom + _GAP

    def _width_of(self, devices: Sequence[Interface | Bridge]) -> float:
        """Return the width of boxes of the host; boxes below each other have equal widths."""
        together = self.host.devices if self._narrow else devices
        shown = [d for d in together if isinstance(d, Bridge) or d.master is None]
        return _width((device.name, _addresses(device)) for device in shown)

    def _put_bridges(self, corner: tuple[float, float], containers: Sequence[Node]) -> None:
        """Place each bridge, as high as the containers beside it; a container is beside its first network's bridge."""
        x, y = corner
        width = self._width_of(self.host.bridges)
        left = x + width + PADDING + (_NARROW_VETHS if self._narrow else _VETHS)
        names = self._beside(containers)
        wide = names + _width(("" if names else node.name, _ends(node)) for node in containers)
        for bridge in self.host.bridges:
            bottom = Box.around(bridge.name, _addresses(bridge), x, y, width, "bridge").bottom
            at = y
            for node in containers:
                if self._first_bridge(node) == bridge.name:
                    box = Box.around(node.name, _ends(node), left, at, wide, "node", names)
                    self.nodes[node.name] = box
                    bottom, at = max(bottom, box.bottom), box.bottom + (_FLAT_GAP if names else _GAP)
            self.devices[bridge.name] = Box(bridge.name, _addresses(bridge), x, y, width, bottom - y, "bridge")
            y = bottom + _GAP

    def _beside(self, containers: Sequence[Node]) -> float:
        """Return the offset of the lines in containers' boxes beside the names; 0: below them."""
        if self._narrow or len(containers) <= _MAX_DRAWN_CONTAINERS:
            return 0
        return PADDING + max(min(len(node.name), LONGEST) for node in containers) * _BOLD

    def _first_bridge(self, container: Node) -> str | None:
        return self.master(self._peers[Port(container.name, container.interfaces[0].name)].device)

    def _frame(self, corner: tuple[float, float], containers: Sequence[Box]) -> Box:
        """Return the box of the host itself."""
        x, y = corner
        right = max((box.right for box in self.devices.values()), default=x + _MIDDLE)
        bottom = max((box.bottom for box in [*self.devices.values(), *containers]), default=y + _TOP_OF_HOST)
        return Box(self.host.name, (), x, y, right + PADDING - x, bottom + PADDING - y, "host")


def end_of(box: Box, link: Link) -> Point:
    """Return the point where a link is connected to a container: beside the line of its device."""
    device = link.a.device if link.a.node == box.name else link.b.device
    number = next(number for number, line in enumerate(box.lines) if line.split()[0] == device)
    return Point(box.x, box.line(number))


def _width(boxes: Iterable[tuple[str, tuple[str, ...]]]) -> float:
    """Return the width that boxes need for their names and lines."""
    needed = [0.0]
    for name, lines in boxes:
        needed.append(min(len(name), LONGEST) * _BOLD)
        needed += [min(len(line), LONGEST) * _CHARACTER for line in lines]
    return 2 * PADDING + max(needed) + _FOR_THE_DOT


def _ends(node: Node) -> tuple[str, ...]:
    """Return a line for each address, after its device."""
    return tuple(f"{device.name} {address}" for device in node.devices for address in _addresses(device) or ("",))


def _addresses(device: Interface | Bridge) -> tuple[str, ...]:
    scripted = device.scripted if isinstance(device, Interface) else ()
    return tuple(str(address) for address in (*device.addresses, *scripted))
