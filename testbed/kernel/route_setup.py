"""Write a node's routes of all tables and its routing rules (ip-route(8), ip-rule(8))."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address
from typing import Any

from pyroute2 import IPRoute

from testbed.topology import Node, Prefix, Route, RouteKind, RoutingRule, RuleAction

_PROTO_BOOT = 3  # route protocol that `ip route` sets, include/uapi/linux/rtnetlink.h
_ONLINK = 4  # RTNH_F_ONLINK, the same file
_SCOPE_LINK, _SCOPE_HOST = 253, 254  # RT_SCOPE_*, the same file
_INVERTED = 2  # FIB_RULE_INVERT, include/uapi/linux/fib_rules.h
_TO_TABLE, _BLACKHOLE, _UNREACHABLE, _PROHIBIT = 1, 6, 7, 8  # FR_ACT_*, the same file
_ACTIONS = {
    RuleAction.LOOKUP: _TO_TABLE,
    RuleAction.BLACKHOLE: _BLACKHOLE,
    RuleAction.UNREACHABLE: _UNREACHABLE,
    RuleAction.PROHIBIT: _PROHIBIT,
}


def add_routes(ip: IPRoute, node: Node) -> None:
    """Add the routes that the node's kernel has; scripted endpoints keep theirs in user space."""
    own = [address.network for device in node.devices for address in device.addresses]
    for route in node.routes:
        if route.kind is not RouteKind.UNICAST:
            ip.route("add", **_target(route), **_refusing(node, route))
        elif _reached(route, own):
            ip.route("add", **_target(route), **_leading(node, route))


def _reached(route: Route, own: list[Prefix]) -> bool:
    if route.device:
        return bool(own)
    return route.via is not None and any(route.via in network for network in own)


def add_rules(ip: IPRoute, node: Node) -> None:
    """Add the routing rules of a node."""
    for rule in node.routing_rules:
        ip.rule("add", **_rule(rule))


def _target(route: Route) -> dict[str, Any]:
    wish: dict[str, Any] = {
        "dst": str(route.destination),
        "family": _family(route.destination.version),
        "proto": _PROTO_BOOT,
        "table": route.table,
    }
    if route.metric:
        wish["priority"] = route.metric
    if route.source is not None:
        wish["prefsrc"] = str(route.source)
    return wish


def _refusing(node: Node, route: Route) -> dict[str, Any]:
    if route.kind is not RouteKind.LOCAL:
        return {"type": route.kind.value}
    return {"type": route.kind.value, "scope": _SCOPE_HOST, "oif": node.indexes.get(route.device, 1)}


def _leading(node: Node, route: Route) -> dict[str, Any]:
    wish: dict[str, Any] = {}
    if route.device:
        wish["oif"] = node.indexes[route.device]
    if route.via is None:
        return {**wish, "scope": _SCOPE_LINK} if route.destination.version == 4 else wish
    if route.device and not (isinstance(route.via, IPv6Address) and route.via.is_link_local):
        wish["flags"] = _ONLINK
    return {**wish, "gateway": str(route.via)}


def _rule(rule: RoutingRule) -> dict[str, Any]:
    wish: dict[str, Any] = {
        "family": _family(rule.version),
        "priority": rule.priority,
        "action": _ACTIONS[rule.action],
        "flags": _INVERTED if rule.inverted else 0,
    }
    if rule.action is RuleAction.LOOKUP:
        wish["table"] = rule.table
    for key, prefix in (("src", rule.source), ("dst", rule.destination)):
        if prefix is not None:
            wish |= {key: str(prefix.network_address), f"{key}_len": prefix.prefixlen}
    if rule.mark is not None:
        wish |= {"fwmark": rule.mark, "fwmask": rule.mask}
    ranges = (("sport_range", rule.source_ports), ("dport_range", rule.destination_ports))
    wish |= {key: f"{own[0]}:{own[1]}" for key, own in ranges if own is not None}
    named = (("iifname", rule.entered), ("oifname", rule.left), ("ip_proto", rule.protocol))
    wish |= {key: value for key, value in named if value}
    if rule.suppress_prefix is not None:
        wish["suppress_prefixlen"] = rule.suppress_prefix
    return wish


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6
