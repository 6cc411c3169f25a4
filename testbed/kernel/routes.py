"""Routing of a node: the type of an address, and whether the node would forward a packet or the reason why not."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from testbed.kernel.namespace import Namespace

_LOCAL_TABLE = 255  # RT_TABLE_LOCAL, include/uapi/linux/rtnetlink.h
_TYPES = {2: "LOCAL", 3: "BROADCAST", 4: "ANYCAST", 5: "MULTICAST"}  # RTN_*, the same file
_STRICT, _LOOSE = 1, 2  # rp_filter, Documentation/networking/ip-sysctl.rst
_UNICAST, _MULTICAST = "UNICAST", "MULTICAST"


@dataclass(frozen=True, slots=True)
class AddressTypes:
    """A node's own addresses (its table `local`), by type, as `-m addrtype` and `fib ... type` match them."""

    types: tuple[tuple[IPv4Network | IPv6Network, str], ...]

    def __call__(self, address: str) -> str:
        """Return LOCAL, BROADCAST, ANYCAST, MULTICAST, else UNICAST."""
        wanted: IPv4Address | IPv6Address = ip_address(address)
        found = [(network.prefixlen, kind) for network, kind in self.types if wanted in network]
        return max(found)[1] if found else _MULTICAST if wanted.is_multicast else _UNICAST


def address_types(namespace: Namespace) -> AddressTypes:
    """Return the types of a node's present addresses."""

    def read(ip: IPRoute) -> tuple[tuple[IPv4Network | IPv6Network, str], ...]:
        return tuple(
            (ip_network(f"{destination}/{route['dst_len']}"), _TYPES[route["type"]])
            for family in (socket.AF_INET, socket.AF_INET6)
            for route in ip.get_routes(family=family, table=_LOCAL_TABLE)
            if route["type"] in _TYPES and (destination := route.get_attr("RTA_DST")) is not None
        )

    return AddressTypes(namespace.netlink(read))


@dataclass(frozen=True, slots=True)
class RouteLookup:
    """A packet that entered a node: its addresses, the interface by index and by name, its mark."""

    source: str
    destination: str
    entered: int
    device: str
    mark: int


def refusal(namespace: Namespace, arrival: RouteLookup) -> str:
    """Return why the node's routing refuses a packet, in words; empty if it does not refuse it.

    The kernel looks up the route for the packet's own addresses (inet_rtm_getroute, net/ipv4/route.c: as if it had
    entered by that interface).
    """
    code, _ = _route(namespace, arrival.destination, src=arrival.source, iif=arrival.entered, mark=arrival.mark)
    if not code:
        return ""
    if code == errno.EACCES:
        return f"the route to {arrival.destination} is prohibited"
    if code not in (errno.EINVAL, errno.EXDEV):
        return f"there is no route to {arrival.destination}"
    if _filtered(namespace, arrival):
        return f"the reverse path filter finds no way back to {arrival.source} by {arrival.device}"
    return f"{arrival.source} > {arrival.destination} may not come in by {arrival.device} (a martian or a blackhole)"


def _route(namespace: Namespace, destination: str, **wish: Any) -> tuple[int, int]:
    """Return the kernel's error number (0: there is a route) and the interface of the route."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    asked = {"dst": destination, "family": family, **{key: value for key, value in wish.items() if value}}
    try:
        found = namespace.netlink(lambda ip: list(ip.route("get", **asked)))
    except NetlinkError as error:
        return error.code, 0
    return 0, found[0].get_attr("RTA_OIF") if found else 0


def _filtered(namespace: Namespace, arrival: RouteLookup) -> bool:
    """Return whether the reverse path filter refuses the source (fib_validate_source, net/ipv4/fib_frontend.c)."""
    scopes = (Path("/proc/sys/net/ipv4/conf", scope, "rp_filter") for scope in ("all", arrival.device))
    strictness = max(int(namespace.run(scope.read_text)) for scope in scopes)
    code, device = _route(namespace, arrival.source)
    return (strictness == _LOOSE and bool(code)) or (strictness == _STRICT and device != arrival.entered)
