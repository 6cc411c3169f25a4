"""Routes, routing rules, neighbours and listeners of the section `host` of a host file."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from testbed.docker.compose import keys
from testbed.docker.host_values import mac_of, number_in, one_of
from testbed.docker.problems import Problems
from testbed.docker.tree import Tree
from testbed.topology import (
    MAIN_TABLE,
    Address,
    Listener,
    Neighbour,
    Prefix,
    Route,
    RouteKind,
    RoutingRule,
    RuleAction,
)

_LAST = 0xFFFFFFFF  # of tables, priorities, metrics and marks
_ROUTE = ("to", "via", "dev", "kind", "table", "metric", "src")
_RULE = (
    *("priority", "family", "action", "table", "from", "to", "mark", "iif", "oif", "protocol", "sport", "dport"),
    *("not", "suppress_prefixlength"),
)
_NEIGHBOUR = ("address", "mac", "dev")
_TABLES = {"main": MAIN_TABLE, "local": 255, "default": 253}
_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "sctp": 132}
_LISTENER = re.compile(r"(?:(?:\[(?P<six>[^\]]+)\]|(?P<four>[^:\[\]]+)):)?(?P<port>\d+)(?:/(?P<protocol>\w+))?")


def route(tree: Tree, problems: Problems) -> Route:
    """Return a route that an item describes."""
    keys.only(tree, _ROUTE, problems)
    via = tree.converted("via", ip_address, None)
    destination = _destination(tree, via)
    device, kind = tree.text("dev"), one_of(tree, "kind", RouteKind, RouteKind.UNICAST)
    if kind is RouteKind.UNICAST and via is None and not device:
        raise tree.error(f"the route to {destination} has neither `via` nor `dev`.", "Give one of them.")
    source = tree.converted("src", ip_address, None)
    return Route(destination, via, device, kind, _table(tree), number_in(tree, "metric", 0, 0, _LAST), source)


def _destination(tree: Tree, via: Address | None) -> Prefix:
    if tree.child("to").is_absent:
        raise tree.error("this route has no `to`.", "Give a prefix, or `default`.")
    if tree.text("to") == "default":
        return ip_network("::/0" if via is not None and via.version == 6 else "0.0.0.0/0")
    return tree.converted("to", ip_network, ip_network("0.0.0.0/0"))


def rule(tree: Tree, problems: Problems) -> RoutingRule:
    """Return a routing rule that an item describes."""
    keys.only(tree, _RULE, problems)
    source, destination = tree.converted("from", ip_network, None), tree.converted("to", ip_network, None)
    version = next((one.version for one in (source, destination) if one is not None), tree.number("family", 4))
    if tree.child("priority").is_absent:
        raise tree.error("this rule has no `priority`.", "Give its number, as `ip rule` shows it.")
    mark, _, mask = tree.text("mark").partition("/")
    with tree.child("mark").blamed():
        wanted, bits = int(mark, 0) if mark else None, int(mask or hex(_LAST), 0)
    return RoutingRule(
        number_in(tree, "priority", 0, 0, _LAST),
        version,
        one_of(tree, "action", RuleAction, RuleAction.LOOKUP),
        _table(tree),
        source,
        destination,
        wanted,
        bits,
        tree.text("iif"),
        tree.text("oif"),
        tree.converted("protocol", _protocol, None),
        tree.converted("sport", _port_range, None),
        tree.converted("dport", _port_range, None),
        tree.flag("not", False),
        None if tree.child("suppress_prefixlength").is_absent else tree.number("suppress_prefixlength", 0),
    )


def neighbour(tree: Tree, problems: Problems) -> Neighbour:
    """Return a permanent neighbour entry that an item describes."""
    keys.only(tree, _NEIGHBOUR, problems)
    for key in _NEIGHBOUR:
        if tree.child(key).is_absent:
            raise tree.error(f"this neighbour has no `{key}`.", "Give it, as `ip neighbour` shows it.")
    return Neighbour(tree.converted("address", ip_address, ip_address("0.0.0.0")), mac_of(tree, ""), tree.text("dev"))


def listener(tree: Tree, _: Problems) -> Listener:
    """Return the listener that a word describes: `PORT`, `PORT/PROTOCOL`, `ADDRESS:PORT/PROTOCOL`."""
    found = _LISTENER.fullmatch(tree.word)
    if found is None:
        raise tree.error(f"{tree.word!r} is no listener.", "Write 22, 53/udp, 127.0.0.1:631 or '[::1]:53/udp'.")
    with tree.blamed():
        place = found["six"] or found["four"]
        address = ip_address(place) if place and place != "*" else None
        specific = address if address is not None and not address.is_unspecified else None
        return Listener(found["protocol"] or "tcp", int(found["port"]), specific)


def _table(tree: Tree) -> int:
    text = tree.text("table", "main")
    return _TABLES[text] if text in _TABLES else number_in(tree, "table", MAIN_TABLE, 1, _LAST)


def _protocol(text: str) -> int:
    return _PROTOCOLS[text] if text in _PROTOCOLS else int(text)


def _port_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)
