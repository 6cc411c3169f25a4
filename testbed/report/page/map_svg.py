"""The map of a bed as SVG, drawn by the layout; the page's script moves the dot on it and draws the trail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from testbed.report.page.layout import LINE, LONGEST, PADDING, Box, Layout, Point, end_of
from testbed.topology import Link
from testbed.visible import visible


@dataclass(frozen=True, slots=True)
class Cable:
    """A link as it is drawn; `label` names the device at the host's end of a container's link."""

    start: Point
    end: Point
    label: str = ""


def svg(layout: Layout, kind: str) -> str:
    """Return the drawing; the style sheet colours it by its class (`kind`)."""
    width, height = layout.size
    drawing = Element("svg", {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "class": f"map {kind}"})
    SubElement(drawing, "title").text = _told(layout)
    _draw_box(drawing, layout.frame)
    for cable in _cables(layout):
        _draw_cable(drawing, cable)
    if layout.switch is not None:
        _draw_lan(drawing, layout, layout.switch.name)
    SubElement(drawing, "polyline", {"class": "trail", "points": ""})
    for box in (*layout.devices.values(), *layout.nodes.values()):
        _draw_box(drawing, box)
    SubElement(drawing, "circle", {"class": "dot", "r": "8"})
    return tostring(drawing, encoding="unicode")


def _told(layout: Layout) -> str:
    bridges = ", ".join(bridge.name for bridge in layout.host.bridges)
    return f"The bed: {', '.join(layout.nodes)} around {layout.host.name}, whose bridges are {bridges or 'none'}."


def _cables(layout: Layout) -> Iterator[Cable]:
    for link in layout.links:
        if layout.switch is None or layout.switch.name not in (link.a.node, link.b.node):
            yield _cable(layout, link)


def _cable(layout: Layout, link: Link) -> Cable:
    """Return a link to the host, or between two of the nodes around it."""
    ends = [port for port in (link.a, link.b) if port.node == layout.host.name]
    boxes = [layout.nodes[port.node] for port in (link.a, link.b) if port.node != layout.host.name]
    if not ends:
        upper, lower = sorted(boxes, key=lambda box: box.y)
        return Cable(Point(upper.middle, upper.bottom), Point(lower.middle, lower.y))
    device = layout.devices[layout.master(ends[0].device) or ends[0].device]
    end = end_of(boxes[0], link)
    nearest = min(max(end.y, device.y + LINE / 2), device.bottom - LINE / 2)
    return Cable(Point(device.right, nearest), end, ends[0].device)


def _draw_lan(drawing: Element, layout: Layout, name: str) -> None:
    """Draw a cable from top to bottom, and from it one to each connected node."""
    boxes = [
        layout.devices[port.device] if port.node == layout.host.name else layout.nodes[port.node]
        for port in layout.plugged
    ]
    heights = [box.plug.y for box in boxes]
    top, bottom = Point(layout.bus, min(heights)), Point(layout.bus, max(heights))
    _draw_cable(drawing, Cable(top, bottom))
    for box in boxes:
        _draw_cable(drawing, Cable(Point(layout.bus, box.plug.y), box.plug))
    _text(drawing, name, Point(layout.bus, top.y - 10), "lan")


def _draw_box(drawing: Element, box: Box) -> None:
    place = {"x": f"{box.x:g}", "y": f"{box.y:g}", "width": f"{box.width:g}", "height": f"{box.height:g}", "rx": "8"}
    group = SubElement(drawing, "g", {"class": f"box {box.kind}"})
    SubElement(group, "rect", place)
    _text(group, box.name, Point(box.x + PADDING, box.name_at + 4), "name")
    for number, line in enumerate(box.lines):
        _text(group, line, Point(box.x + box.beside + PADDING, box.line(number) + 4), "line")


def _draw_cable(drawing: Element, cable: Cable) -> None:
    start, end = cable.start, cable.end
    straight = start.y == end.y or start.x == end.x
    half = (start.x + end.x) / 2
    way = f"M{start} L{end}" if straight else f"M{start} C{half:g} {start.y:g} {half:g} {end.y:g} {end}"
    SubElement(drawing, "path", {"class": "cable", "d": way})
    if cable.label:
        _text(drawing, cable.label, Point(end.x - 6, end.y - 5), "plug")


def _text(drawing: Element, words: str, place: Point, kind: str) -> None:
    """Draw text, cut if it is too long for a box; then a tooltip has all of it."""
    made = SubElement(drawing, "text", {"class": kind, "x": f"{place.x:g}", "y": f"{place.y:g}"})
    words = visible(words)
    made.text = words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"
    if len(words) > LONGEST:
        SubElement(made, "title").text = words
