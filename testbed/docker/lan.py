"""The networks beside a host, from its surroundings: a LAN for each uplink, with a client and a gateway, one internet.

The nodes of the first uplink are client, lan and gateway; those of a further one have its name behind theirs. All
addresses follow from the uplinks. Where a subnet has no room for other machines, these stand in one of benchmarking's
(RFC 2544), behind the gateway as the host sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import (
    IPv4Network,
    IPv6Interface,
    IPv6Network,
    ip_interface,
    ip_network,
)
from itertools import islice

from testbed.docker.surroundings import Surroundings, Uplink
from testbed.errors import TopologyError
from testbed.topology import Address, AddressWithPrefix, Prefix, node_name

EVERYWHERE, EVERYWHERE6 = IPv4Network("0.0.0.0/0"), IPv6Network("::/0")
_DOCUMENTATION = [IPv4Network(text) for text in ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24")]  # RFC 5737
_BENCHMARKING = IPv4Network("198.18.0.0/15")  # RFC 2544
_DOCUMENTATION6 = IPv6Network("2001:db8:113::/48")  # RFC 3849
_SPARE6 = IPv6Network("2001:db8:66::/48")
_HOST6, _GATEWAY6 = 0x100, 0xFE  # the interface identifiers of a host and a gateway in a chosen subnet
_INTERNET = {4: 10, 6: 0x10}
_GATEWAY_OUTSIDE = 254
_SEARCHED = 4096  # addresses of a subnet that are looked at for free ones
_CLIENTS = 2  # addresses of a client: one of its kernel, one of its script


@dataclass(frozen=True, slots=True)
class Lan:
    """The segment of one uplink, and its nodes' addresses; of the client's the script has the second ones.

    `uplink` has an IPv6 address too, if the host uses IPv6. `outside` are the gateway's addresses in the internet.
    `behind` are addresses of the host for which the gateway needs a route.
    """

    uplink: Uplink
    suffix: str
    client: tuple[AddressWithPrefix, ...]
    scripted: tuple[AddressWithPrefix, ...]
    gateway: tuple[AddressWithPrefix, ...]
    outside: tuple[AddressWithPrefix, ...]
    behind: tuple[AddressWithPrefix, ...]

    def named(self, node: str) -> str:
        """Return the name of one of its nodes: client, lan or gateway."""
        return f"{node}{self.suffix}"

    def router(self, version: int) -> Address | None:
        """Return the address of the gateway for an IP version, if any."""
        return next((own.ip for own in self.gateway if own.version == version), None)


@dataclass(frozen=True, slots=True)
class Around:
    """The networks beside a host; `internet` are the addresses of the node of that name."""

    lans: tuple[Lan, ...]
    internet: tuple[AddressWithPrefix, ...]

    @property
    def main(self) -> Lan:
        return self.lans[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the nodes beside the host."""
        return (*(lan.named(node) for lan in self.lans for node in ("client", "gateway", "lan")), "internet", "host")

    def host_address(self, version: int) -> Address:
        """Return the host's address for others; raises TopologyError when it has none of that version."""
        for lan in self.lans:
            if (own := lan.uplink.address(version)) is not None:
                return own.ip
        raise TopologyError(f"the host has no IPv{version} address.")

    def internet_address(self, version: int) -> Address:
        """Return the internet's address; raises TopologyError when the bed has none of that version."""
        for own in self.internet:
            if own.version == version:
                return own.ip
        raise TopologyError(f"the internet of this bed has no IPv{version} address.")

    def client_address(self, version: int) -> Address:
        """Return the address of the first uplink's client."""
        for own in self.main.client:
            if own.version == version:
                return own.ip
        raise TopologyError(f"the client of this bed has no IPv{version} address.")


@lru_cache(maxsize=64)
def around(surroundings: Surroundings, six: bool, subnets: tuple[Prefix, ...] = ()) -> Around:
    """Return the networks beside a host with these surroundings and these Docker subnets; `six`: it uses IPv6."""
    taken = [*(network for _, network in surroundings.networks()), *subnets]
    taken += [ip_network(own.ip) for own in surroundings.addresses()]
    taken += [ip_network(gateway) for uplink in surroundings.uplinks for gateway in uplink.gateways]
    taken += [route.destination for route in surroundings.routes if route.destination.prefixlen]
    internet, internet6 = _unused(_internets(), taken), _unused(_DOCUMENTATION6.subnets(new_prefix=64), taken)
    taken += [internet, internet6]
    lans = []
    for number, uplink in enumerate(surroundings.uplinks):
        suffix = f"-{node_name(uplink.name)}" if number else ""
        complete = _in_order(uplink) if six else _without_ipv6(uplink)
        if six and not number and not any(map(_has_ipv6, surroundings.uplinks)):
            complete = _with_ipv6(uplink, taken)
        outside = [_inside(internet, _GATEWAY_OUTSIDE - number)]
        outside += [_inside(internet6, _GATEWAY_OUTSIDE - number)] if six else []
        lans.append(_lan(complete, suffix, tuple(outside), surroundings, taken))
    asked = [internet, internet6] if six else [internet]
    return Around(tuple(lans), tuple(_inside(network, _INTERNET[network.version]) for network in asked))


def _internets() -> Iterator[Prefix]:
    yield from _DOCUMENTATION
    yield from _BENCHMARKING.subnets(new_prefix=24)


def _lan(
    uplink: Uplink, suffix: str, outside: tuple[AddressWithPrefix, ...], all_: Surroundings, taken: list[Prefix]
) -> Lan:
    used = {own.ip for own in all_.addresses()} | {entry.address for entry in all_.neighbours} | {*uplink.gateways}
    client: list[AddressWithPrefix] = []
    scripted: list[AddressWithPrefix] = []
    routers = [_as_router(gateway, uplink) for gateway in uplink.gateways if _speaks(uplink, gateway.version)]
    for version in (4, 6):
        own = uplink.address(version)
        if own is None:
            routers += [_inside(_spare(4, taken), _GATEWAY_OUTSIDE)] if version == 4 else []
            continue
        subnet: Prefix = own.network
        if not any(router.version == version for router in routers) and (chosen := router_in(subnet, used)):
            used.add(chosen.ip)
            routers.append(chosen)
        free = list(islice(free_addresses(subnet, used), _CLIENTS))
        if len(free) < _CLIENTS:
            subnet = _spare(version, taken)
            routers.append(_inside(subnet, _GATEWAY_OUTSIDE))
            free = list(islice(free_addresses(subnet, used), _CLIENTS))
        client.append(_with_prefix(free[0], subnet))
        scripted.append(_with_prefix(free[1], subnet))
        used |= {*free}
    behind = []
    for own in uplink.addresses:
        if any(own.ip in router.network for router in routers):
            continue
        beside = router_in(own.network, used)
        routers += [beside] if beside is not None else []
        behind += [own] if beside is None else []
    return Lan(uplink, suffix, tuple(client), tuple(scripted), tuple(routers), outside, tuple(behind))


def _speaks(uplink: Uplink, version: int) -> bool:
    return uplink.address(version) is not None


def _as_router(gateway: Address, uplink: Uplink) -> AddressWithPrefix:
    """The gateway's address with the prefix of the uplink's subnet that it is in, else alone."""
    for own in uplink.addresses:
        if gateway in own.network:
            return _with_prefix(gateway, own.network)
    if gateway.is_link_local and gateway.version == 6:
        return IPv6Interface(f"{gateway}/64")
    return ip_interface(gateway)


def router_in(subnet: Prefix, used: Iterable[Address]) -> AddressWithPrefix | None:
    """Return an address for a router: the last free one of IPv4, and of IPv6 the one that ends with fe."""
    if subnet.num_addresses <= _CLIENTS:
        return None
    if isinstance(subnet, IPv6Network):
        last = [subnet[_GATEWAY6]] if subnet.num_addresses > _HOST6 else []
        return next(
            (_with_prefix(one, subnet) for one in (*last, *free_addresses(subnet, used)) if one not in set(used)), None
        )
    backwards = (subnet.broadcast_address - back for back in range(1, min(_SEARCHED, subnet.num_addresses - 1)))
    return next((_with_prefix(one, subnet) for one in backwards if one not in set(used)), None)


def free_addresses(subnet: Prefix, used: Iterable[Address]) -> Iterator[Address]:
    """Yield the addresses of a subnet that no machine has, the lowest first; none of a subnet of two or one."""
    taken = set(used)
    hosts: Iterable[Address] = subnet.hosts() if subnet.num_addresses > _CLIENTS else ()
    return (address for address in islice(hosts, _SEARCHED) if address not in taken)


def _has_ipv6(uplink: Uplink) -> bool:
    return any(own.version == 6 and not own.ip.is_link_local for own in uplink.addresses)


def _in_order(uplink: Uplink) -> Uplink:
    """An uplink with its link-local addresses last, so that the first one of each IP version is for others."""
    ordered = sorted(uplink.addresses, key=lambda own: own.version == 6 and own.ip.is_link_local)
    return replace(uplink, addresses=tuple(ordered))


def _with_ipv6(uplink: Uplink, taken: list[Prefix]) -> Uplink:
    """An uplink with an IPv6 address and gateway of documentation, on a host that has none and needs one."""
    subnet = _spare(6, taken)
    addresses = (*(own for own in uplink.addresses if own.version == 4), _inside(subnet, _HOST6))
    return replace(uplink, addresses=addresses, gateways=(*uplink.gateways, subnet[_GATEWAY6]))


def _without_ipv6(uplink: Uplink) -> Uplink:
    own = tuple(address for address in uplink.addresses if address.version == 4)
    return replace(uplink, addresses=own, gateways=tuple(one for one in uplink.gateways if one.version == 4))


def _spare(version: int, taken: list[Prefix]) -> Prefix:
    """A subnet that nothing uses yet; it is taken then."""
    pool = _BENCHMARKING.subnets(new_prefix=24) if version == 4 else _SPARE6.subnets(new_prefix=64)
    found = _unused(pool, taken)
    taken.append(found)
    return found


def _unused(candidates: Iterable[Prefix], taken: Iterable[Prefix]) -> Prefix:
    known = list(taken)
    for candidate in candidates:
        if not any(candidate.version == one.version and candidate.overlaps(one) for one in known):
            return candidate
    raise TopologyError("every prefix for documentation and benchmarking is in use on this host.", "Free one of them.")


def _inside(subnet: Prefix, number: int) -> AddressWithPrefix:
    return _with_prefix(subnet[number], subnet)


def _with_prefix(address: Address, subnet: Prefix) -> AddressWithPrefix:
    return ip_interface(f"{address}/{subnet.prefixlen}")
