"""The state of a host's network as plain data: rules, addresses, routes, bridge ports, sysctls, read from the kernel.

Each is a line in the words of the programs that print it (iptables-save, ip address, ip route, bridge, sysctl), and the
same for a real engine's host and for a bed. Veth devices are called by their containers, since engines make up names.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from testbed.kernel.namespace import Namespace
from testbed.kernel.xtables import backend as backend_of
from testbed.rules import Ruleset

# Those of a device that decide on packets, as conformance looks at them; Documentation/networking/ip-sysctl.rst.
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


@dataclass(frozen=True, slots=True)
class Capture:
    """What was found of IPv4 at one moment."""

    rules: Ruleset
    addresses: tuple[str, ...]
    routes: tuple[str, ...]
    ports: tuple[str, ...]
    sysctls: tuple[str, ...]


def capture(host: Namespace, backend: str, veths: Mapping[int, str]) -> Capture:
    """The state of a host whose iptables speaks by this backend; `veths` names veth devices by their index."""
    names = host.netlink(lambda ip: _names(ip, veths))
    return Capture(
        backend_of(backend).saved(host),
        host.netlink(lambda ip: _addresses(ip, names)),
        host.netlink(lambda ip: _routes(ip, names)),
        host.netlink(lambda ip: _ports(ip, names)),
        host.run(_sysctls, {name: names[index] for index, name in host.run(socket.if_nameindex)}),
    )


def _names(ip: IPRoute, veths: Mapping[int, str]) -> dict[int, str]:
    return {link["index"]: veths.get(link["index"], str(link.get("ifname"))) for link in ip.get_links()}


def _addresses(ip: IPRoute, names: Mapping[int, str]) -> tuple[str, ...]:
    found: Any = ip.get_addr(family=socket.AF_INET)
    return tuple(
        sorted(
            f"{names[address['index']]} {address.get('address')}/{address['prefixlen']}"
            f" brd {address.get('broadcast') or 'none'} scope {_SCOPES[address['scope']]}"
            for address in found
        )
    )


def _routes(ip: IPRoute, names: Mapping[int, str]) -> tuple[str, ...]:
    found: Any = ip.get_routes(family=socket.AF_INET)
    return tuple(sorted(_route(route, names) for route in found if route.get("table") in _TABLES))


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
    """Without what a kernel does not have."""
    values = {name: link.get("protinfo").get(attribute) for name, attribute in _PORT_FLAGS.items()}
    flags = (f"{name} {'on' if value else 'off'}" for name, value in values.items() if value is not None)
    return " ".join((names[link["index"]], "on", names[link.get("master")], *flags))


def _sysctls(devices: Mapping[str, str]) -> tuple[str, ...]:
    """Those of the calling thread's network namespace; `devices` are their names, and what they are called here."""
    net = Path("/proc/sys/net")
    bridge = sorted(f"bridge/{path.name}" for path in (net / "bridge").iterdir())
    scopes = {"all": "all", "default": "default", **devices}
    asked = {f"ipv4/conf/{name}/{key}": f"ipv4/conf/{called}/{key}" for name, called in scopes.items() for key in _CONF}
    asked |= {key: key for key in (*_SYSCTLS, *bridge)}
    return tuple(
        sorted(
            f"net.{called.replace('/', '.')} = {' '.join((net / key).read_text().split())}"
            for key, called in asked.items()
        )
    )
