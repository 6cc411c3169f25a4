"""The section `host` of a host file: the uplinks of the host and all that it has besides Docker (docs/hosts.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address, ip_interface, ip_network
from typing import TypeVar

from testbed.docker import naming
from testbed.docker.article_surroundings import SURROUNDINGS
from testbed.docker.compose import keys
from testbed.docker.host_routing import listener, neighbour, route, rule
from testbed.docker.host_values import addresses_of, each, index_of, mac_of, mtu_of, one_of
from testbed.docker.lan import free_addresses, router_in
from testbed.docker.problems import Problems
from testbed.docker.surroundings import (
    Guest,
    GuestBridge,
    MacvlanContainer,
    Surroundings,
    Tunnel,
    TunnelKind,
    Uplink,
    UplinkKind,
)
from testbed.docker.tree import Tree
from testbed.topology import (
    Address,
    AddressWithPrefix,
)

V = TypeVar("V")
E = TypeVar("E", bound=Enum)

_SECTION = (
    *("uplinks", "routes", "rules", "neighbours", "tunnels", "bridges", "listeners", "macvlan", "sysctls", "ipv6"),
)
_DEVICE = ("addresses", "mac", "mtu", "index")
_UPLINK = (*_DEVICE, "gateway", "kind", "ports", "altnames")
_TUNNEL = (*_DEVICE, "peer", "networks", "kind")
_BRIDGE = (*_DEVICE, "guests")
_STATION = ("addresses", "mac", "uplink", "driver")
_SYSCTL = re.compile(r"net\.[A-Za-z0-9_./-]+")
_LONGEST_VALUE = 200
_NONE = "none"


@dataclass(frozen=True, slots=True)
class HostSection:
    """The surroundings that a host file describes, and sentences on what was assumed."""

    value: Surroundings
    remarks: tuple[str, ...] = ()


def read(tree: Tree, problems: Problems) -> HostSection:
    """Return the surroundings of a section, the article's if it is absent; collect all that is wrong."""
    if tree.is_absent:
        return HostSection(SURROUNDINGS)
    found = HostSection(SURROUNDINGS)
    with problems.collected():
        found = _Reader(tree, problems).section()
    problems.raise_all()
    return found


class _Reader:
    """Reads each part of the section; an error in one part does not hide those in others."""

    def __init__(self, tree: Tree, problems: Problems) -> None:
        self._tree = tree
        self._problems = problems
        self._remarks: list[str] = []

    def section(self) -> HostSection:
        tree = self._tree
        keys.only(tree, _SECTION, self._problems)
        uplinks = self._named("uplinks", self._uplink) or list(SURROUNDINGS.uplinks)
        tunnels = self._named("tunnels", self._tunnel)
        bridges = self._named("bridges", self._bridge)
        stations = self._named("macvlan", lambda name, part: self._station(name, part, uplinks[0].name))
        routes = self._listed("routes", route)
        rules = self._listed("rules", rule)
        neighbours = self._listed("neighbours", neighbour)
        listeners = self._listed("listeners", listener)
        sysctls = [self._sysctl(key, part) for key, part in tree.child("sysctls").mapping]
        self._problems.raise_all()
        six = any(own.version == 6 for own in (*_addresses_of(uplinks), *_addresses_of(tunnels)))
        with tree.blamed():
            value = Surroundings(
                tuple(uplinks),
                tuple(routes),
                tuple(rules),
                tuple(neighbours),
                tuple(tunnels),
                tuple(bridges),
                tuple(listeners),
                tuple(stations),
                tuple(one for one in sysctls if one is not None),
                tree.flag("ipv6", six) if not tree.child("uplinks").is_absent or six else None,
            )
        self._check_devices(value)
        return HostSection(value, tuple(self._remarks))

    def _named(self, key: str, convert: Callable[[str, Tree], V]) -> list[V]:
        found: list[V] = []
        for name, part in self._tree.child(key).mapping:
            with self._problems.collected():
                found.append(convert(name, part))
        return found

    def _listed(self, key: str, convert: Callable[[Tree, Problems], V]) -> list[V]:
        found: list[V] = []
        for part in self._tree.child(key).items:
            with self._problems.collected():
                found.append(convert(part, self._problems))
        return found

    def _uplink(self, name: str, tree: Tree) -> Uplink:
        keys.only(tree, _UPLINK, self._problems)
        addresses = addresses_of(tree.child("addresses"))
        kind = one_of(tree, "kind", UplinkKind, UplinkKind.PLAIN)
        ports = tuple(tree.child("ports").words) if not tree.child("ports").is_absent else ()
        if kind is UplinkKind.BRIDGE and not ports:
            raise tree.error(f"the bridge {name} has no port that leads out.", "Name it: `ports: [eth0]`.")
        return Uplink(
            name,
            mac_of(tree, f"uplink {name}"),
            addresses,
            self._gateways(name, tree, addresses),
            kind,
            ports,
            mtu_of(tree),
            index_of(tree),
            tuple(tree.child("altnames").words) if not tree.child("altnames").is_absent else (),
        )

    def _gateways(self, name: str, tree: Tree, addresses: tuple[AddressWithPrefix, ...]) -> tuple[Address, ...]:
        """The gateways that are named; without the key, the main uplink's last free address of its IPv4 subnet."""
        part = tree.child("gateway")
        if not part.is_absent:
            return () if part.words == [_NONE] else tuple(each(part, ip_address))
        first = next(iter(self._tree.child("uplinks").mapping), None)
        if first is None or first[0] != name or not self._tree.child("routes").is_absent:
            return ()
        chosen = [router_in(own.network, {own.ip}) for own in _first_of_each_version(addresses)]
        for router in chosen:
            if router is not None:
                self._remarks.append(f"{name} has the gateway {router.ip}, which is assumed (`gateway`).")
        return tuple(router.ip for router in chosen if router is not None)

    def _tunnel(self, name: str, tree: Tree) -> Tunnel:
        keys.only(tree, _TUNNEL, self._problems)
        addresses = addresses_of(tree.child("addresses"))
        peer = tree.child("peer")
        far = addresses_of(peer) if not peer.is_absent else peers_of(addresses)
        if not far:
            raise tree.error(f"the tunnel {name} has no peer, and its subnet has no room for one.", "Give it: `peer`.")
        if peer.is_absent:
            self._remarks.append(
                f"{', '.join(str(own.ip) for own in far)} is behind {name}, which is assumed (`peer`)."
            )
        networks = tree.child("networks")
        return Tunnel(
            name,
            mac_of(tree, f"tunnel {name}"),
            addresses,
            far,
            tuple(each(networks, ip_network)) if not networks.is_absent else (),
            one_of(tree, "kind", TunnelKind, tunnel_kind(name)),
            mtu_of(tree),
            index_of(tree),
        )

    def _bridge(self, name: str, tree: Tree) -> GuestBridge:
        keys.only(tree, _BRIDGE, self._problems)
        addresses = addresses_of(tree.child("addresses"))
        guests = tree.child("guests").mapping
        found = tuple(guest(name, key, self._guest_addresses(part, addresses)) for key, part in guests)
        mac = mac_of(tree, f"bridge {name}")
        return GuestBridge(name, mac, addresses, found, mtu_of(tree), index_of(tree))

    def _guest_addresses(self, tree: Tree, near: tuple[AddressWithPrefix, ...]) -> tuple[AddressWithPrefix, ...]:
        """The addresses of a guest; one without a prefix has the bridge's."""
        found = []
        for one in each(tree, ip_interface):
            subnet = next((own.network for own in near if one.ip in own.network), None)
            bare = one.network.num_addresses == 1 and subnet is not None
            found.append(ip_interface(f"{one.ip}/{subnet.prefixlen}") if bare and subnet is not None else one)
        return tuple(found)

    def _station(self, name: str, tree: Tree, uplink: str) -> MacvlanContainer:
        keys.only(tree, _STATION, self._problems)
        driver = tree.text("driver", "macvlan")
        if driver not in ("macvlan", "ipvlan"):
            raise tree.child("driver").error(f"{driver} is no driver of such a container.", "Use macvlan or ipvlan.")
        addresses = addresses_of(tree.child("addresses"))
        return MacvlanContainer(name, mac_of(tree, f"station {name}"), addresses, tree.text("uplink", uplink), driver)

    def _sysctl(self, key: str, tree: Tree) -> tuple[str, str] | None:
        """A key and its value; only those of the network can differ from host to host in a bed."""
        with self._problems.collected():
            if not _SYSCTL.fullmatch(key) or ".." in key or "/" in key:
                raise tree.error(f"{key} is no sysctl of a network.", "Give keys that begin with net.")
            if len(tree.word) > _LONGEST_VALUE or not tree.word.isprintable():
                raise tree.error(f"the value of {key} is no value of a sysctl.", "Give what `sysctl` prints.")
            return key, tree.word
        return None

    def _check_devices(self, value: Surroundings) -> None:
        """Report routes and neighbours on interfaces that the section does not describe."""
        known = {"lo", *value.interfaces()}
        for key in ("routes", "neighbours"):
            for part in self._tree.child(key).items:
                name = part.text("dev")
                if name and name not in known:
                    remedy = f"Describe it, or name one of {', '.join(sorted(known))}."
                    self._problems.add(part.child("dev").error(f"the host has no interface {name}.", remedy))


def peers_of(addresses: Iterable[AddressWithPrefix]) -> tuple[AddressWithPrefix, ...]:
    """Return an address for the far end of a tunnel in each of its subnets that has room."""
    found = []
    for own in _first_of_each_version(addresses):
        free = next(free_addresses(own.network, {own.ip}), None)
        found += [ip_interface(f"{free}/{own.network.prefixlen}")] if free is not None else []
    return tuple(found)


def tunnel_kind(name: str) -> TunnelKind:
    """Return the kind that an interface of this name usually is."""
    for prefix, kind in (("wg", TunnelKind.WIREGUARD), ("tun", TunnelKind.TUN), ("ppp", TunnelKind.PPP)):
        if name.startswith(prefix):
            return kind
    return TunnelKind.TUN if name.startswith("tailscale") else TunnelKind.OTHER


def guest(bridge: str, name: str, addresses: tuple[AddressWithPrefix, ...]) -> Guest:
    """Return a machine behind a bridge, with a port and hardware addresses that follow from its name."""
    of = f"{bridge} {name}"
    return Guest(name, naming.local_mac(f"guest {of}"), addresses, naming.tap(of), naming.local_mac(f"tap {of}"))


def _addresses_of(devices: Iterable[Uplink | Tunnel]) -> Iterator[AddressWithPrefix]:
    for device in devices:
        yield from (own for own in device.addresses if not own.ip.is_link_local)


def _first_of_each_version(addresses: Iterable[AddressWithPrefix]) -> list[AddressWithPrefix]:
    found: dict[int, AddressWithPrefix] = {}
    for own in addresses:
        found.setdefault(own.version, own)
    return list(found.values())
