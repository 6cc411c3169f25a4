"""What a node's routing says: what kind of address one is, and whether a packet would be forwarded, and if not, why."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from testbed.kernel.namespace import Namespace

_LOCAL_TABLE = 255  # RT_TABLE_LOCAL, include/uapi/linux/rtnetlink.h
_TYPES = {2: "LOCAL", 3: "BROADCAST", 4: "ANYCAST", 5: "MULTICAST"}  # RTN_*, the same file
_UNICAST, _MULTICAST = "UNICAST", "MULTICAST"
_IPV4 = 32


@dataclass(frozen=True, slots=True)
class AddressTypes:
    """The addresses of a node's own (its table `local`), as `-m addrtype` and `fib ... type` ask for them."""

    types: tuple[tuple[IPv4Network | IPv6Network, str], ...]

    def __call__(self, address: str) -> str:
        """LOCAL, BROADCAST, ANYCAST, MULTICAST, else UNICAST."""
        wanted: IPv4Address | IPv6Address = ip_address(address)
        found = [(network.prefixlen, kind) for network, kind in self.types if wanted in network]
        return max(found)[1] if found else _MULTICAST if wanted.is_multicast else _UNICAST


def address_types(namespace: Namespace) -> AddressTypes:
    """What kinds of addresses a node knows now."""

    def read(ip: IPRoute) -> tuple[tuple[IPv4Network | IPv6Network, str], ...]:
        return tuple(
            (ip_network(f"{destination}/{route['dst_len']}"), _TYPES[route["type"]])
            for family in (socket.AF_INET, socket.AF_INET6)
            for route in ip.get_routes(family=family, table=_LOCAL_TABLE)
            if route["type"] in _TYPES and (destination := route.get_attr("RTA_DST")) is not None
        )

    return AddressTypes(namespace.netlink(read))


def refusal(namespace: Namespace, source: str, destination: str, entered: int, device: str, mark: int) -> str:
    """Why the node's routing refuses a packet that comes in there, in words; empty where it does not.

    The kernel is asked with the packet's own addresses (inet_rtm_getroute, net/ipv4/route.c: as if it came in there).
    """
    wish = {"dst": destination, "src": source, "iif": entered, **({"mark": mark} if mark else {})}
    try:
        namespace.netlink(lambda ip: list(ip.route("get", family=_family(destination), **wish)))
    except NetlinkError as error:
        return _in_words(error.code, source, destination, device)
    return ""


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _in_words(code: int, source: str, destination: str, device: str) -> str:
    if code == errno.EXDEV:
        return f"the reverse path filter finds no way back to {source} by {device}"
    if code == errno.EINVAL:
        return f"packets for {destination} are not to come in by {device} (a martian), or its route is a blackhole"
    if code == errno.EACCES:
        return f"the route to {destination} is prohibited"
    return f"there is no route to {destination}"
