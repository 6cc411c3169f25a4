"""What is around a Docker host, and what the host has besides Docker, as values.

The networks beside the host (LAN, gateway, internet) follow from its uplinks; docker/lan.py makes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_interface

from testbed.errors import TopologyError
from testbed.topology import (
    LONGEST_NAME,
    MTU,
    Address,
    AddressWithPrefix,
    Listener,
    Neighbour,
    Prefix,
    Route,
    RoutingRule,
)


class UplinkKind(Enum):
    """What an uplink is. A BRIDGE has the addresses, and `ports` lead out; a BOND or a VLAN stands on its `ports`.

    Rules see a bond and a VLAN by their own names only, so a bed makes these as plain interfaces without their ports.
    """

    PLAIN = "plain"
    VLAN = "vlan"
    BOND = "bond"
    BRIDGE = "bridge"
    MACVLAN_PARENT = "macvlan-parent"


class TunnelKind(Enum):
    """What a point-to-point link is on its own host; in a bed each is a link with a hardware address."""

    WIREGUARD = "wireguard"
    TUN = "tun"
    PPP = "ppp"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Uplink:
    """An interface that leads out; the host's address for others is the first one of each IP version.

    Each gateway is a router on its segment. It is a default route of the host too, unless the host's own routes have
    one for that IP version. `ports` are the interfaces below it.
    """

    name: str
    mac: str
    addresses: tuple[AddressWithPrefix, ...] = ()
    gateways: tuple[Address, ...] = ()
    kind: UplinkKind = UplinkKind.PLAIN
    ports: tuple[str, ...] = ()
    mtu: int = MTU
    index: int | None = None
    altnames: tuple[str, ...] = ()

    def address(self, version: int) -> AddressWithPrefix | None:
        """Return the first address of an IP version, if any."""
        return next((own for own in self.addresses if own.version == version), None)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A point-to-point link with a node behind it: `peer` are that node's addresses, `networks` lead to it."""

    name: str
    mac: str
    addresses: tuple[AddressWithPrefix, ...] = ()
    peer: tuple[AddressWithPrefix, ...] = ()
    networks: tuple[Prefix, ...] = ()
    kind: TunnelKind = TunnelKind.OTHER
    mtu: int = MTU
    index: int | None = None
    peer_mac: str = "00:00:5e:00:51:01"


@dataclass(frozen=True, slots=True)
class Guest:
    """A machine behind a bridge: `tap` is the bridge's port for it."""

    name: str
    mac: str
    addresses: tuple[AddressWithPrefix, ...]
    tap: str
    tap_mac: str


@dataclass(frozen=True, slots=True)
class GuestBridge:
    """A bridge of the host that is no Docker network (virbr0, lxdbr0, podman0), with the machines behind it."""

    name: str
    mac: str
    addresses: tuple[AddressWithPrefix, ...] = ()
    guests: tuple[Guest, ...] = ()
    mtu: int = MTU
    index: int | None = None


@dataclass(frozen=True, slots=True)
class MacvlanContainer:
    """A container on an uplink's own segment (macvlan or ipvlan): no rule of the host meets its packets.

    It and the host do not reach each other. In a bed both kinds have a hardware address of their own, and stations
    do not reach each other either.
    """

    name: str
    mac: str
    addresses: tuple[AddressWithPrefix, ...]
    uplink: str
    driver: str = "macvlan"


@dataclass(frozen=True, slots=True)
class Machine:
    """Another machine outside: in the LAN of an uplink if that has its address, else behind the uplink's gateway."""

    name: str
    mac: str
    address: Address
    uplink: str

    @property
    def addresses(self) -> tuple[AddressWithPrefix, ...]:
        return (ip_interface(self.address),)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The uplinks of a host and all that it has besides Docker; `routes` are those of all tables.

    `routes` does not list those that follow from addresses, nor, unless it is `routes_complete`, those that follow from
    gateways and tunnels. `sysctls` are (key, value) that count
    instead of a bed's own. `ipv6`: None means that the IPv6 addresses of the uplinks count only if a network of the
    host has IPv6.

    Raises TopologyError for what cannot be: no uplink, a name or an address taken twice.
    """

    uplinks: tuple[Uplink, ...]
    routes: tuple[Route, ...] = ()
    routing_rules: tuple[RoutingRule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()
    bridges: tuple[GuestBridge, ...] = ()
    listeners: tuple[Listener, ...] = ()
    stations: tuple[MacvlanContainer, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    ipv6: bool | None = None
    machines: tuple[Machine, ...] = ()
    routes_complete: bool = False

    def __post_init__(self) -> None:
        if not self.uplinks:
            raise TopologyError("the host has no uplink.", "Describe one, with a name and an address.")
        _once("interface", self.interfaces())
        _once("node", (own.name for own in self.named))
        _once("address", (str(own.ip) for own in self.addresses() if not own.ip.is_link_local))
        for name in self.interfaces():
            if len(name) > LONGEST_NAME:
                raise TopologyError(
                    f"the interface {name} has {len(name)} characters, and the kernel's limit is {LONGEST_NAME}.",
                    "Give the interface's own name.",
                )
        for tunnel in self.tunnels:
            if not tunnel.peer:
                raise TopologyError(f"the tunnel {tunnel.name} has no peer.", "Give the address of its other end.")
        for name in (*(one.uplink for one in self.stations), *(one.uplink for one in self.machines)):
            self.uplink(name)

    @property
    def main(self) -> Uplink:
        """The first uplink, whose segment has the nodes client and gateway."""
        return self.uplinks[0]

    def uplink(self, name: str) -> Uplink:
        """Return the uplink of that name; raises TopologyError when there is none."""
        for uplink in self.uplinks:
            if uplink.name == name:
                return uplink
        known = ", ".join(uplink.name for uplink in self.uplinks)
        raise TopologyError(f"the host has no uplink {name}.", f"It has {known}.")

    def interfaces(self) -> list[str]:
        """Return the names of all interfaces of the host that are not Docker's."""
        below = [port for uplink in self.uplinks if uplink.kind is UplinkKind.BRIDGE for port in uplink.ports]
        named = [own.name for own in self.devices]
        return [*named, *below, *(guest.tap for guest in self.guests())]

    @property
    def devices(self) -> tuple[Uplink | Tunnel | GuestBridge, ...]:
        """The host's devices with addresses of its own."""
        return (*self.uplinks, *self.tunnels, *self.bridges)

    @property
    def named(self) -> tuple[Guest | MacvlanContainer | Machine, ...]:
        """Everything that is a node by its own name: guests, stations, machines."""
        return (*self.guests(), *self.stations, *self.machines)

    def guests(self) -> Iterator[Guest]:
        for bridge in self.bridges:
            yield from bridge.guests

    def own_addresses(self) -> Iterator[AddressWithPrefix]:
        """Yield the addresses of the host's own interfaces, without Docker's."""
        for device in self.devices:
            yield from device.addresses

    def addresses(self) -> Iterator[AddressWithPrefix]:
        """Yield all addresses: the host's own, and those of peers, guests and stations."""
        yield from self.own_addresses()
        for tunnel in self.tunnels:
            yield from tunnel.peer
        for machine in self.named:
            yield from machine.addresses

    def networks(self) -> Iterator[tuple[str, Prefix]]:
        """Yield each network of the host that is not Docker's, with its interface; single addresses are none."""
        for device in self.devices:
            for address in device.addresses:
                if address.network.num_addresses > 1 and not address.ip.is_link_local:
                    yield device.name, address.network
        for tunnel in self.tunnels:
            for network in tunnel.networks:
                yield tunnel.name, network


def _once(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise TopologyError(f"the {what} {name} is there twice.", "Give one of them another name or address.")
        seen.add(name)
