"""Routes, routing rules, neighbours and sysctls of a captured host as those of a bed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

from testbed.capture.devices import Devices
from testbed.capture.notes import TwinNote, approximated, missing
from testbed.capture.values import CapturedRoute, CapturedRule, HostCapture
from testbed.docker.sysctls import HOST_SYSCTLS
from testbed.topology import MAIN_TABLE, Address, Neighbour, Route, RouteKind, RoutingRule, RuleAction

_TABLES = {"local": 255, "main": MAIN_TABLE, "default": 253}
_FIRST_NAMED = 1000  # the number of the first table that has only a name
_OWN_RULES = {(0, "local"), (32766, "main"), (32767, "default")}
_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "sctp": 132}
_KINDS = {kind.value: kind for kind in RouteKind}
# Keys that decide about packets, beside those that every bed's host has; those of IPv6 that let a kernel speak on its
# own are the bed's (docker/sysctls.py). All are there since Linux 4.15.
_MORE = (
    *("icmp_echo_ignore_all", "icmp_echo_ignore_broadcasts", "ip_nonlocal_bind", "ip_default_ttl", "fwmark_reflect"),
    *("tcp_fwmark_accept", "bindv6only"),
)
_MORE_OF_A_DEVICE = ("accept_source_route", "arp_filter", "log_martians", "proxy_arp_pvlan", "src_valid_mark")
_OF_A_DEVICE6 = ("accept_redirects", "accept_source_route", "disable_ipv6", "forwarding", "proxy_ndp")


@dataclass
class TwinRouting:
    """The routes and the rest, as values of a bed; tables that have only a name are numbered from 1000."""

    capture: HostCapture
    devices: Devices
    routes: list[Route] = field(default_factory=list)
    rules: list[RoutingRule] = field(default_factory=list)
    neighbours: list[Neighbour] = field(default_factory=list)
    notes: list[TwinNote] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        here = self.devices.names()
        for route in self.capture.routes:
            if route.kind in ("broadcast", "multicast", "anycast") or (
                route.table == "local" and route.protocol == "kernel"
            ):
                continue
            self._route(route, here)
        for own in self._of_loopback():
            self.routes.append(own)
        self._rules()
        self._neighbours(here)

    def table(self, name: str) -> int:
        """Return the number of a routing table."""
        if name.isdigit():
            return int(name)
        if name not in _TABLES and name not in self._numbers:
            self._numbers[name] = _FIRST_NAMED + len(self._numbers)
        return _TABLES.get(name) or self._numbers[name]

    def _route(self, route: CapturedRoute, here: set[str]) -> None:
        if route.protocol == "kernel" and route.table == "main" and route.via is None:
            return  # it follows from an address
        said = f"the route to {route.destination} (table {route.table})"
        if route.destination.version == 6 and (route.destination.is_link_local or route.destination.is_multicast):
            return
        if route.kind not in _KINDS:
            self.notes.append(
                missing(f"{_capital(said)} is of the kind {route.kind}: it is not in the bed.", route.line)
            )
            return
        if route.device and route.device not in here:
            text = f"{_capital(said)} is not in the bed, as {route.device} is not."
            self.notes.append(missing(text, route.line, matters=bool({*route.flags} - {"linkdown", "dead"})))
            return
        if route.hops > 1:
            text = f"{_capital(said)} has {route.hops} next hops: the bed has the first."
            self.notes.append(approximated(text, route.line))
        via, device = self._next_hop(route)
        self.routes.append(
            Route(
                route.destination,
                via,
                device,
                _KINDS[route.kind],
                self.table(route.table),
                route.metric,
                route.source,
            )
        )

    def _next_hop(self, route: CapturedRoute) -> tuple[Address | None, str]:
        """Return the router and the device; of a route by a tunnel alone its far side, as a bed's tunnel is a link."""
        tunnel = next((one for one in self.devices.tunnels if one.name == route.device), None)
        if route.via is not None or tunnel is None or route.kind != "unicast":
            return route.via, route.device if route.kind == "unicast" else ""
        peers = [own.ip for own in tunnel.peer if own.version == route.destination.version]
        own_subnet = any(peer in route.destination for peer in peers) and route.destination.num_addresses == 1
        return (None if own_subnet else next(iter(peers), None)), route.device

    def _of_loopback(self) -> Iterator[Route]:
        """Yield a local route for each address of lo besides its own ones."""
        loopback = self.capture.link("lo")
        for own in loopback.addresses if loopback is not None else ():
            if not own.address.ip.is_loopback:
                yield Route(ip_network(own.address.ip), device="lo", kind=RouteKind.LOCAL, table=_TABLES["local"])

    def _rules(self) -> None:
        for rule in self.capture.routing_rules:
            if (rule.priority, rule.table) in _OWN_RULES and _matches_all(rule):
                continue
            made = self._rule(rule)
            if made is not None:
                self.rules.append(made)
        for version in (4, 6):
            of_version = [rule for rule in self.capture.routing_rules if rule.version == version]
            there = {(rule.priority, rule.table) for rule in of_version if _matches_all(rule)}
            for priority, table in sorted({(0, "local"), (32766, "main")} - there) if of_version else ():
                text = f"The host has no rule {priority} for the table {table} of IPv{version}; the bed's has."
                self.notes.append(approximated(text))

    def _rule(self, rule: CapturedRule) -> RoutingRule | None:
        unknown = [*rule.other]
        unknown += [rule.action] if rule.action not in {action.value for action in RuleAction} else []
        unknown += [rule.protocol] if rule.protocol and not self._protocol(rule.protocol) else []
        if unknown:
            text = f"The routing rule {rule.priority} of IPv{rule.version} is not in the bed: {', '.join(unknown)}."
            self.notes.append(missing(text, rule.line))
            return None
        return RoutingRule(
            rule.priority,
            rule.version,
            RuleAction(rule.action),
            self.table(rule.table) if rule.table else MAIN_TABLE,
            rule.source,
            rule.destination,
            rule.mark,
            0xFFFFFFFF if rule.mask is None else rule.mask,
            rule.entered,
            rule.left,
            self._protocol(rule.protocol),
            rule.source_ports,
            rule.destination_ports,
            rule.inverted,
            rule.suppress_prefix,
        )

    @staticmethod
    def _protocol(name: str) -> int | None:
        return int(name) if name.isdigit() else _PROTOCOLS.get(name)

    def _neighbours(self, here: set[str]) -> None:
        gateways = {gateway for uplink in self.devices.uplinks for gateway in uplink.gateways}
        far = {own.ip for tunnel in self.devices.tunnels for own in tunnel.peer}
        for entry in self.capture.neighbours:
            if entry.address in gateways or entry.address in far or entry.address.is_multicast:
                text = f"{entry.address} has another hardware address in the bed than {entry.mac}."
                self.notes.append(approximated(text, matters=False))
            elif entry.device in here and entry.device not in self.devices.docker:
                self.neighbours.append(Neighbour(entry.address, entry.mac, entry.device))


def _matches_all(rule: CapturedRule) -> bool:
    return not (rule.source or rule.destination or rule.mark is not None or rule.entered or rule.left or rule.inverted)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def sysctls(capture: HostCapture, devices: Sequence[str], six: bool) -> tuple[tuple[str, str], ...]:
    """Return the captured sysctls that decide about packets, in the order in which they are to be written.

    A device has its own value, or the default that it got when it was made; `devices` are those of the bed.
    """
    found = {key.replace("/", "."): value for key, value in capture.sysctls}
    own = dict(capture.sysctls)
    plain = [key for key, _ in HOST_SYSCTLS if ".conf." not in key] + [f"net.ipv4.{key}" for key in _MORE[:-1]]
    plain += [f"net.ipv6.{_MORE[-1]}"] if six else []
    written = [(key, found[key]) for key in plain if key in found]
    written.sort(key=lambda one: one[0] != "net.ipv4.ip_forward")
    keys4 = [key.rpartition(".")[2] for key, _ in HOST_SYSCTLS if key.startswith("net.ipv4.conf.all.")]
    kinds = [("ipv4", [*keys4, *_MORE_OF_A_DEVICE])] + ([("ipv6", [*_OF_A_DEVICE6])] if six else [])
    for family, keys in kinds:
        for key in keys:
            default = found.get(f"net.{family}.conf.default.{key}")
            scoped = [("all", found.get(f"net.{family}.conf.all.{key}")), ("default", default)]
            scoped += [
                (name, own.get(f"net.{family}.conf.{name.replace('.', '/')}.{key}", default)) for name in devices
            ]
            written += [
                (f"net.{family}.conf.{name.replace('.', '/')}.{key}", value)
                for name, value in scoped
                if value is not None and not _is_beds(family, name, key, value)
            ]
    return tuple(written)


def _is_beds(family: str, name: str, key: str, value: str) -> bool:
    """Return whether a sysctl is left as the bed has it.

    Forwarding of all is ip_forward. IPv6 is on in the bed, so that it is switched off only where the host has it off;
    to write it again would make the kernel report its groups again.
    """
    if key == "disable_ipv6":
        return name in ("all", "default") or value != "1"
    return (family, name, key) == ("ipv4", "all", "forwarding")
