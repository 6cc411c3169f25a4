"""The interfaces of a captured host as those of a bed: uplinks, tunnels, other bridges, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_interface

from testbed.capture.notes import TwinNote, approximated, listed, missing
from testbed.capture.values import CapturedLink, CapturedRoute, HostCapture
from testbed.docker import naming
from testbed.docker.surroundings import Guest, GuestBridge, Tunnel, TunnelKind, Uplink, UplinkKind
from testbed.topology import Address, AddressWithPrefix, Prefix

_TUNNELS = {"wireguard": TunnelKind.WIREGUARD, "tun": TunnelKind.TUN, "ppp": TunnelKind.PPP}
_ENCAPSULATING = ("gre", "gretap", "sit", "ipip", "vti", "xfrm", "ip6tnl", "ip6gre", "l2tp")
_UPLINKS = {"vlan": UplinkKind.VLAN, "bond": UplinkKind.BOND, "team": UplinkKind.BOND, "bridge": UplinkKind.BRIDGE}
_WITHOUT_CARRIER = ("dummy", "ifb", "vrf", "vxlan", "geneve", "nlmon")
_ALONE = {4: 32, 6: 128}
_SEARCHED = 1024  # addresses of a subnet that are looked at for a free one


@dataclass
class Devices:
    """The devices of a twin that are not Docker's, found in a capture; `docker` are the bridges that are."""

    capture: HostCapture
    docker: frozenset[str]
    uplinks: list[Uplink] = field(default_factory=list)
    tunnels: list[Tunnel] = field(default_factory=list)
    bridges: list[GuestBridge] = field(default_factory=list)
    notes: list[TwinNote] = field(default_factory=list)

    def __post_init__(self) -> None:
        found = [link for link in self.capture.links if self._is_own(link)]
        for link in sorted(found, key=self._order):
            if link.kind in _TUNNELS or link.kind in _ENCAPSULATING or link.type in ("none", "ppp"):
                self._tunnel(link)
            elif link.kind == "bridge" and not self._leads_out(link):
                self._bridge(link)
            elif link.kind in _WITHOUT_CARRIER:
                self._without_carrier(link)
            elif link.addresses or self._gateways(link):
                self._uplink(link)
        self._say_left_out()

    def names(self) -> set[str]:
        """Return the names of all devices of the host that the twin has, Docker's bridges too."""
        own = [*(one.name for one in self.uplinks), *(one.name for one in self.tunnels)]
        return {"lo", *own, *(one.name for one in self.bridges), *self.docker}

    def ipv6(self) -> bool:
        """Return whether a device has an IPv6 address that others can use."""
        own = [*(one.addresses for one in self.uplinks), *(one.addresses for one in self.tunnels)]
        return any(one.version == 6 for some in (*own, *(one.addresses for one in self.bridges)) for one in some)

    def _is_own(self, link: CapturedLink) -> bool:
        return link.name != "lo" and not link.master and link.name not in self.docker and link.up

    def _order(self, link: CapturedLink) -> tuple[bool, int, int]:
        """Put the uplink of the default route first, since its segment has the client."""
        defaults = [route for route in self._routes_by(link) if not route.destination.prefixlen]
        main = [route.metric for route in defaults if route.table == "main" and route.destination.version == 4]
        return (not main, min(main, default=0), link.index)

    def _routes_by(self, link: CapturedLink) -> Iterator[CapturedRoute]:
        return (route for route in self.capture.routes if route.device == link.name and route.table != "local")

    def _gateways(self, link: CapturedLink) -> tuple[Address, ...]:
        return tuple(dict.fromkeys(route.via for route in self._routes_by(link) if route.via is not None))

    def _ports(self, link: CapturedLink) -> list[CapturedLink]:
        return [port for port in self.capture.links if port.master == link.name]

    def _leads_out(self, bridge: CapturedLink) -> bool:
        """Return whether a bridge has a port that is hardware, a VLAN or a bond, or a gateway behind it."""
        hardware = any(port.kind in ("", "vlan", "bond", "team") for port in self._ports(bridge))
        return hardware or any(not route.destination.prefixlen for route in self._routes_by(bridge))

    def _uplink(self, link: CapturedLink) -> None:
        kind = _UPLINKS.get(link.kind, UplinkKind.PLAIN)
        ports = [port.name for port in self._ports(link)] if kind is UplinkKind.BRIDGE else []
        ports = ports[:1] or ([f"{link.name[:11]}-out"] if kind is UplinkKind.BRIDGE else [])
        if link.parent and kind is UplinkKind.VLAN:
            ports = [link.parent]
        gateways = self._gateways(link)
        self.uplinks.append(
            Uplink(
                link.name,
                link.mac or _mac(link.name),
                _global(link),
                gateways,
                kind,
                tuple(ports),
                link.mtu,
                link.index,
                link.altnames,
            )
        )
        if link.kind in ("macvlan", "macvtap", "ipvlan"):
            text = f"{link.name} ({link.kind} on {link.parent}) has a network of its own, not that of {link.parent}"
            self.notes.append(approximated(f"{text}: what is sent from one to the other goes another way.", link.line))

    def _tunnel(self, link: CapturedLink) -> None:
        own = _global(link)
        if not own:
            self.notes.append(missing(f"{link.name} has no address, and is not in the bed.", link.line, matters=False))
            return
        peer = tuple(self._peers(link, own))
        if not peer:
            text = f"{link.name} is not in the bed: no address of its far side is known, and its subnet has no other."
            self.notes.append(missing(text, link.line))
            return
        kind = _TUNNELS.get(link.kind, TunnelKind.PPP if link.type == "ppp" else TunnelKind.OTHER)
        self.tunnels.append(Tunnel(link.name, _mac(link.name), own, peer, (), kind, link.mtu, link.index))
        what = link.kind or link.type
        text = f"{link.name} ({what}) is an ordinary link here, and its far side is one machine, {peer[0].ip}"
        why = "its encryption, the addresses that it allows and the rules of the far side are not in a bed"
        self.notes.append(approximated(f"{text}: {why}.", link.line))

    def _peers(self, link: CapturedLink, own: tuple[AddressWithPrefix, ...]) -> Iterator[AddressWithPrefix]:
        """Yield an address of the far side in each IP version: a captured one, a gateway, one in a route's network."""
        taken = {one.address.ip for other in self.capture.links for one in other.addresses}
        for version in sorted({address.version for address in own}):
            known: list[Address] = [
                one.peer for one in link.addresses if one.peer is not None and one.peer.version == version
            ]
            known += [gateway for gateway in self._gateways(link) if gateway.version == version]
            networks: list[Prefix] = [address.network for address in own if address.version == version]
            networks += [
                route.destination
                for route in self._routes_by(link)
                if route.destination.version == version and route.destination.prefixlen
            ]
            known += [free for network in networks if (free := _free(network, taken)) is not None]
            chosen = next(iter(known), None)
            if chosen is not None:
                inside = next((net for net in networks if chosen in net and net.num_addresses > 1), None)
                length = inside.prefixlen if inside is not None else _ALONE[version]
                yield _interface(chosen, length)

    def _bridge(self, link: CapturedLink) -> None:
        own = _global(link)
        ports = self._ports(link)
        taken = {one.address.ip for other in self.capture.links for one in other.addresses}
        addresses = tuple(
            _interface(free, address.network.prefixlen) for address in own if (free := _free(address.network, taken))
        )
        guests: tuple[Guest, ...] = ()
        if addresses:
            tap = ports[0].name if ports else f"tap{link.index}"
            tap_mac = ports[0].mac if ports else naming.veth_mac(link.name)
            guests = (Guest(f"guest-{link.name}", _mac(f"guest of {link.name}"), addresses, tap, tap_mac),)
            behind = f"one machine, {addresses[0].ip}, is behind it"
            text = f"{link.name} is no network of the engine: {behind} in place of {len(ports)} ports."
            self.notes.append(approximated(text, link.line, matters=False))
        self.bridges.append(GuestBridge(link.name, link.mac or _mac(link.name), own, guests, link.mtu, link.index))

    def _without_carrier(self, link: CapturedLink) -> None:
        if not _global(link):
            return
        self.bridges.append(
            GuestBridge(link.name, link.mac or _mac(link.name), _global(link), (), link.mtu, link.index)
        )
        text = f"{link.name} ({link.kind}) has its addresses here, and no machine is behind it."
        self.notes.append(approximated(text, link.line, matters=link.kind in ("vxlan", "geneve", "vrf")))

    def _say_left_out(self) -> None:
        here = self.names() | {port for uplink in self.uplinks for port in uplink.ports}
        here |= {guest.tap for bridge in self.bridges for guest in bridge.guests}
        below = {link.parent for link in self.capture.links} | {
            link.name for link in self.capture.links if link.master and link.master in here
        }
        left = [
            link
            for link in self.capture.links
            if link.name not in here and link.kind != "veth" and link.name not in below and link.up
        ]
        if left:
            text = f"not in the bed, since they have no address: {listed([link.name for link in left])}."
            self.notes.append(missing(text[0].upper() + text[1:], left[0].line, matters=False))
        down = [link.name for link in self.capture.links if not link.up and link.name not in ("lo", *self.docker)]
        if down:
            self.notes.append(missing(f"Not in the bed, since they are down: {listed(down)}.", matters=False))
        for link in self.capture.links:
            if link.xdp:
                text = f"{link.name} has an XDP program, which may drop packets before any rule: it is not in the bed."
                self.notes.append(missing(text, link.line))
            if link.vlan_filtering:
                text = f"{link.name} filters VLANs, and the bed's does not."
                self.notes.append(approximated(text, link.line))


def _global(link: CapturedLink) -> tuple[AddressWithPrefix, ...]:
    return tuple(own.address for own in link.global_addresses)


def _mac(name: str) -> str:
    return naming.veth_mac(f"twin of {name}")


def _free(network: Prefix, taken: set[Address]) -> Address | None:
    """Return the first address of a network that is not taken, if any."""
    if network.num_addresses == 1:
        return None if network.network_address in taken else network.network_address
    for number in range(1, min(_SEARCHED, network.num_addresses - 1)):
        if (address := network[number]) not in taken:
            return address
    return None


def _interface(address: Address, length: int) -> AddressWithPrefix:
    return ip_interface(f"{address}/{length}")
