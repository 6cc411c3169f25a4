"""The map of a bed as SVG: the LAN on the left, the host with its bridges in the middle, containers on the right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from testbed.topology import Bridge, Interface, Link, Node, Port, Topology

# All in the drawing's units, which are pixels where the map has room.
_MARGIN = 12
_HEADING, _LINE = 26, 16  # height of a box's name and of each line below it
_PADDING = 8
_CHARACTER, _BOLD = 6.7, 8.2  # widths of one, in page.css's monospaced 11 px and in its bold 13 px
_FOR_THE_DOT = 22  # room on the right of a box, where nothing is written
_LONGEST = 24  # characters; what is longer is cut, and told in full by its tooltip
_GAP = 14  # between boxes
_TO_NEXT = 34  # between boxes of the left column that a link joins
_LAN, _MIDDLE, _VETHS = 60, 56, 104  # widths: of the LAN's cable, inside the host between its devices, of the veths
_TOP_OF_HOST = 34


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the map. Where the way between two places is not straight, it turns at the one with more `turns`."""

    x: float
    y: float
    turns: int = 0

    def __str__(self) -> str:
        return f"{self.x:g} {self.y:g}"

    @property
    def data(self) -> str:
        """For the script that moves the packet."""
        return f"{self} {self.turns}"


@dataclass(frozen=True, slots=True)
class Box:
    """A node or a device of the host: its name, and a line for each of its devices or addresses."""

    name: str
    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float
    kind: str

    @property
    def plug(self) -> Point:
        """Where a packet is drawn that is in it."""
        return Point(self.right - _FOR_THE_DOT / 2 - 3, self.line(0), int(self.kind == "bridge"))

    @property
    def middle(self) -> Point:
        return Point(self.x + self.width / 2, self.y + self.height / 2)

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def line(self, number: int) -> float:
        """The height at which a line stands."""
        return self.y + _HEADING + (number + 0.5) * _LINE


@dataclass(frozen=True, slots=True)
class Cable:
    """A link as it is drawn, with the name of the device at its host's end, if it is a container's."""

    start: Point
    end: Point
    label: str = ""


class Map:
    """Where everything stands; `svg` draws it, `place` says where a packet is."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._host = topology.node(topology.host)
        self._switch = next((node for node in topology.nodes if node.bridges and not node.addresses), None)
        self._peers = {end: link.other(end) for link in topology.links for end in (link.a, link.b)}
        inside = {self._peers[Port(self._host.name, own.name)].node for own in self._host.interfaces if own.master}
        around = [n for n in topology.nodes if n not in (self._host, self._switch) and n.name not in inside]
        containers = [node for node in topology.nodes if node.name in inside]

        self._nodes = {box.name: box for box in self._column(around)}
        left = max((box.right for box in self._nodes.values()), default=_MARGIN)
        self._bus = left + _LAN / 2
        self._devices = {box.name: box for box in self._own_devices(left + _LAN)}
        bridges_at = max((box.right for box in self._devices.values()), default=left + _LAN) + _MIDDLE
        self._put_bridges(bridges_at, containers)
        self._center = Point(bridges_at - _MIDDLE / 2, _MARGIN + _TOP_OF_HOST + _HEADING + _LINE / 2, 2)
        self._frame = self._around_the_host(left + _LAN)

    def place(self, node: str, device: str = "") -> Point:
        """Where a packet is drawn that is at a device of a node, or just in the node."""
        if self._switch is not None and node == self._switch.name:
            return Point(self._bus, self._center.y, 2)
        if node != self._host.name:
            return self._nodes[node].plug
        masters = {own.name: own.master for own in self._host.interfaces if own.master is not None}
        box = self._devices.get(masters.get(device, device))
        if box is not None:
            return box.plug
        return self._center

    @property
    def size(self) -> tuple[float, float]:
        boxes = [self._frame, *self._nodes.values()]
        return max(box.right for box in boxes) + _MARGIN, max(box.bottom for box in boxes) + _MARGIN

    @property
    def svg(self) -> str:
        """The drawing; its colours are the style sheet's, its dot and trail are moved by the page's script."""
        width, height = self.size
        drawing = Element("svg", {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "class": "map"})
        SubElement(drawing, "title").text = self._told
        _draw_box(drawing, self._frame)
        for cable in self._cables():
            _draw_cable(drawing, cable)
        if self._switch is not None:
            self._draw_switch(drawing)
        SubElement(drawing, "polyline", {"class": "trail", "points": ""})
        for box in (*self._devices.values(), *self._nodes.values()):
            _draw_box(drawing, box)
        SubElement(drawing, "circle", {"class": "dot", "r": "8"})
        return tostring(drawing, encoding="unicode")

    @property
    def _told(self) -> str:
        names = [box.name for box in self._nodes.values()]
        bridges = ", ".join(bridge.name for bridge in self._host.bridges)
        return f"The bed: {', '.join(names)} around {self._host.name}, whose bridges are {bridges or 'none'}."

    # where things stand

    def _column(self, nodes: Sequence[Node]) -> Iterator[Box]:
        """The nodes around the host, one below the other."""
        width = _width((node.name, _ends(node)) for node in nodes)
        y, above = float(_MARGIN), None
        for node in nodes:
            if above is not None:
                y += _TO_NEXT if self._joined(above, node) else _GAP
            yield (box := _box(node.name, _ends(node), _MARGIN, y, width, "node"))
            y, above = box.bottom, node

    def _joined(self, one: Node, other: Node) -> bool:
        return any({link.a.node, link.b.node} == {one.name, other.name} for link in self._topology.links)

    def _own_devices(self, x: float) -> Iterator[Box]:
        """The host's devices that are plugged into the LAN."""
        own = [device for device in self._host.interfaces if device.master is None]
        width = _width((device.name, _addresses(device)) for device in own)
        y = float(_MARGIN + _TOP_OF_HOST)
        for device in own:
            yield (box := _box(device.name, _addresses(device), x + _PADDING, y, width, "device"))
            y = box.bottom + _GAP

    def _put_bridges(self, x: float, containers: Sequence[Node]) -> None:
        """Each bridge as high as the containers beside it; one on several networks stands beside its first."""
        bridges = self._host.bridges
        width = _width((bridge.name, _addresses(bridge)) for bridge in bridges)
        beside = x + width + _PADDING + _VETHS
        wide = _width((node.name, _ends(node)) for node in containers)
        y = float(_MARGIN + _TOP_OF_HOST)
        for bridge in bridges:
            top = y
            for node in containers:
                if self._bridge_of(node) == bridge.name:
                    self._nodes[node.name] = _box(node.name, _ends(node), beside, y, wide, "node")
                    y = self._nodes[node.name].bottom + _GAP
            alone = _box(bridge.name, _addresses(bridge), x, top, width, "bridge")
            y = max(y, alone.bottom + _GAP)
            self._devices[bridge.name] = Box(bridge.name, alone.lines, x, top, width, y - _GAP - top, "bridge")

    def _bridge_of(self, container: Node) -> str | None:
        first = self._peers[Port(container.name, container.interfaces[0].name)]
        return self._host.interface(first.device).master

    def _around_the_host(self, x: float) -> Box:
        inside = list(self._devices.values())
        bottom = max((box.bottom for box in [*inside, *self._nodes.values()]), default=_MARGIN + _TOP_OF_HOST)
        right = max((box.right for box in inside), default=x + _MIDDLE)
        return Box(self._host.name, (), x, _MARGIN, right + _PADDING - x, bottom + _PADDING - _MARGIN, "host")

    # what is drawn

    def _cables(self) -> Iterator[Cable]:
        for link in self._topology.links:
            if self._switch is None or self._switch.name not in (link.a.node, link.b.node):
                yield self._cable(link)

    def _cable(self, link: Link) -> Cable:
        """A veth of a container, or a link between two nodes of the left column."""
        near, far = (link.b, link.a) if link.b.node == self._host.name else (link.a, link.b)
        one, other = self._nodes.get(near.node), self._nodes[far.node]
        if one is not None:
            upper, lower = sorted((one, other), key=lambda box: box.y)
            return Cable(Point(upper.middle.x, upper.bottom), Point(lower.middle.x, lower.y))
        number = next(n for n, line in enumerate(other.lines) if line.startswith(f"{far.device} "))
        master = self._host.interface(near.device).master
        bridge = self._devices[master or near.device]
        end = Point(other.x, other.line(number))
        beside = bridge.y <= end.y <= bridge.bottom
        return Cable(Point(bridge.right, end.y if beside else bridge.bottom - _LINE / 2), end, near.device)

    def _draw_switch(self, drawing: Element) -> None:
        """The LAN: a cable from top to bottom, and from it one to each node that is plugged in."""
        assert self._switch is not None
        plugged = [self._peers[Port(self._switch.name, own.name)] for own in self._switch.interfaces]
        ends = [
            self._devices[port.device].plug if port.node == self._host.name else self._nodes[port.node].plug
            for port in plugged
        ]
        heights = [end.y for end in ends]
        top, bottom = Point(self._bus, min(heights)), Point(self._bus, max(heights))
        _draw_cable(drawing, Cable(top, bottom))
        for end in ends:
            _draw_cable(drawing, Cable(Point(self._bus, end.y), end))
        _text(drawing, self._switch.name, Point(self._bus, top.y - 10), "lan")


def _box(name: str, lines: Sequence[str], x: float, y: float, width: float, kind: str) -> Box:
    return Box(name, tuple(lines), x, y, width, _HEADING + len(lines) * _LINE + _PADDING / 2, kind)


def _width(boxes: Iterable[tuple[str, tuple[str, ...]]]) -> float:
    """How wide boxes must be for their names and lines."""
    needed = [0.0]
    for name, lines in boxes:
        needed.append(min(len(name), _LONGEST) * _BOLD)
        needed += [min(len(line), _LONGEST) * _CHARACTER for line in lines]
    return 2 * _PADDING + max(needed) + _FOR_THE_DOT


def _ends(node: Node) -> tuple[str, ...]:
    """A line for each address, behind the device that has it."""
    return tuple(f"{device.name} {address}" for device in node.devices for address in _addresses(device) or ("",))


def _addresses(device: Interface | Bridge) -> tuple[str, ...]:
    scripted = device.scripted if isinstance(device, Interface) else ()
    return tuple(str(address) for address in (*device.addresses, *scripted))


def _draw_box(drawing: Element, box: Box) -> None:
    place = {"x": f"{box.x:g}", "y": f"{box.y:g}", "width": f"{box.width:g}", "height": f"{box.height:g}", "rx": "8"}
    group = SubElement(drawing, "g", {"class": f"box {box.kind}"})
    SubElement(group, "rect", place)
    _text(group, box.name, Point(box.x + _PADDING, box.y + 18), "name")
    for number, line in enumerate(box.lines):
        _text(group, line, Point(box.x + _PADDING, box.line(number) + 4), "line")


def _draw_cable(drawing: Element, cable: Cable) -> None:
    start, end = cable.start, cable.end
    half = (start.x + end.x) / 2
    straight = start.y == end.y or start.x == end.x
    way = f"M{start} L{end}" if straight else f"M{start} C{half:g} {start.y:g} {half:g} {end.y:g} {end}"
    SubElement(drawing, "path", {"class": "cable", "d": way})
    if cable.label:
        _text(drawing, cable.label, Point(end.x - 6, end.y - 5), "plug")


def _text(drawing: Element, words: str, place: Point, kind: str) -> None:
    made = SubElement(drawing, "text", {"class": kind, "x": f"{place.x:g}", "y": f"{place.y:g}"})
    made.text = words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"
    if len(words) > _LONGEST:
        SubElement(made, "title").text = words
