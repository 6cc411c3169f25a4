"""The state of a host's network as plain data: rules, addresses, routes, bridge ports, sysctls, read from the kernel.

Each is a line in the format of the program that prints it (iptables-save, ip address, ip route, bridge, sysctl). The
format is the same for a real engine's host and for a bed. Veth devices have their containers' names here, since
engines choose random names.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from testbed.kernel.namespace import Namespace
from testbed.kernel.xtables import backend as backend_of
from testbed.rules import Ruleset

# Sysctls of a device that affect packets, as conformance compares them; Documentation/networking/ip-sysctl.rst.
_CONF = (
    *("accept_local", "accept_redirects", "arp_announce", "arp_ignore", "forwarding", "proxy_arp"),
    *("route_localnet", "rp_filter", "send_redirects"),
)
_SYSCTLS = (
    *("ipv4/ip_forward", "ipv4/ip_local_port_range", "ipv4/ip_unprivileged_port_start"),
    *("netfilter/nf_conntrack_checksum", "netfilter/nf_conntrack_tcp_be_liberal", "netfilter/nf_conntrack_tcp_loose"),
)
_PORT_FLAGS = {
    "hairpin": "IFLA_BRPORT_MODE",
    "isolated": "IFLA_BRPORT_ISOLATED",
    "learning": "IFLA_BRPORT_LEARNING",
    "flood": "IFLA_BRPORT_UNICAST_FLOOD",
}
_TABLES = {255: "local", 254: "main"}  # include/uapi/linux/rtnetlink.h, as all of these
_TYPES = {1: "unicast", 2: "local", 3: "broadcast", 6: "blackhole"}
_SCOPES = {0: "global", 253: "link", 254: "host"}
_PROTOCOLS = {2: "kernel", 3: "boot"}
_CONF6 = ("accept_ra", "disable_ipv6", "forwarding")
_OWN_PREFIXES = re.compile(r" (fe80:|ff00:)")


@dataclass(frozen=True, slots=True)
class Capture:
    """The state of a host at one moment: of IPv4, and of IPv6 if the host has it."""

    rules: Ruleset
    addresses: tuple[str, ...]
    routes: tuple[str, ...]
    ports: tuple[str, ...]
    sysctls: tuple[str, ...]


def capture(host: Namespace, backend: str, veths: Mapping[int, str], six: bool = False) -> Capture:
    """Return the state of a host whose iptables uses this backend; `veths` maps indexes of veth devices to names."""
    names = host.netlink(lambda ip: _names(ip, veths))
    families = (socket.AF_INET, socket.AF_INET6) if six else (socket.AF_INET,)
    rules = backend_of(backend).saved(host)
    return Capture(
        rules if six else replace(rules, entries=tuple(table for table in rules.tables if not table.of_ipv6)),
        host.netlink(lambda ip: _addresses(ip, names, families)),
        host.netlink(lambda ip: _routes(ip, names, families)),
        host.netlink(lambda ip: _ports(ip, names)),
        host.run(_sysctls, {name: names[index] for index, name in host.run(socket.if_nameindex)}, six),
    )


def _names(ip: IPRoute, veths: Mapping[int, str]) -> dict[int, str]:
    return {link["index"]: veths.get(link["index"], str(link.get("ifname"))) for link in ip.get_links()}


def _addresses(ip: IPRoute, names: Mapping[int, str], families: Sequence[int]) -> tuple[str, ...]:
    """Return all addresses but those that IPv6 gives every device by itself."""
    found: Any = [a for family in families for a in ip.get_addr(family=family) if not _of_the_link(a)]
    return tuple(
        sorted(
            f"{names[address['index']]} {address.get('address')}/{address['prefixlen']}"
            f" brd {address.get('broadcast') or 'none'} scope {_SCOPES[address['scope']]}"
            for address in found
        )
    )


def _of_the_link(address: Any) -> bool:
    return address["family"] == socket.AF_INET6 and _SCOPES[address["scope"]] == "link"


def _routes(ip: IPRoute, names: Mapping[int, str], families: Sequence[int]) -> tuple[str, ...]:
    """Return all routes but those of IPv6's own prefixes, for a device's link and for multicast groups."""
    found: Any = [route for family in families for route in ip.get_routes(family=family)]
    lines = (_route(route, names) for route in found if route.get("table") in _TABLES)
    return tuple(sorted(line for line in lines if not _OWN_PREFIXES.search(line)))


def _route(route: Any, names: Mapping[int, str]) -> str:
    to = f"{route.get('dst')}/{route['dst_len']}" if route["dst_len"] else "default"
    via = f" via {route.get('gateway')}" if route.get("gateway") else ""
    source = f" src {route.get('prefsrc')}" if route.get("prefsrc") else ""
    return (
        f"{_TABLES[route.get('table')]}: {_TYPES.get(route['type'], route['type'])} {to}{via}"
        f" dev {names.get(route.get('oif'), 'none')} proto {_PROTOCOLS.get(route['proto'], route['proto'])}"
        f" scope {_SCOPES.get(route['scope'], route['scope'])}{source}"
    )


def _ports(ip: IPRoute, names: Mapping[int, str]) -> tuple[str, ...]:
    found: Any = ip.brport("dump")
    return tuple(sorted(_port(link, names) for link in found if link.get("protinfo")))


def _port(link: Any, names: Mapping[int, str]) -> str:
    """Return the flags of a port, without those that the kernel does not have."""
    values = {name: link.get("protinfo").get(attribute) for name, attribute in _PORT_FLAGS.items()}
    flags = (f"{name} {'on' if value else 'off'}" for name, value in values.items() if value is not None)
    return " ".join((names[link["index"]], "on", names[link.get("master")], *flags))


def _sysctls(devices: Mapping[str, str], six: bool) -> tuple[str, ...]:
    """Return the sysctls of the calling thread's network namespace; `devices` maps real names to those used here."""
    net = Path("/proc/sys/net")
    bridge = sorted(f"bridge/{path.name}" for path in (net / "bridge").iterdir())
    scopes = {"all": "all", "default": "default", **devices}
    asked = {f"ipv4/conf/{name}/{key}": f"ipv4/conf/{called}/{key}" for name, called in scopes.items() for key in _CONF}
    if six:
        asked |= {f"ipv6/conf/{n}/{key}": f"ipv6/conf/{called}/{key}" for n, called in scopes.items() for key in _CONF6}
    asked |= {key: key for key in (*_SYSCTLS, *bridge)}
    return tuple(
        sorted(
            f"net.{called.replace('/', '.')} = {' '.join((net / key).read_text().split())}"
            for key, called in asked.items()
        )
    )
