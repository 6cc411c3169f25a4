"""Containers for the addresses that rules translate to, on the networks that rules name or that are assumed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from testbed.docker import named_by_rules, naming
from testbed.docker.guess import Guess, GuessKind
from testbed.docker.host import Container, DockerHost, Network
from testbed.docker.lan import free_addresses
from testbed.docker.used_networks import free_subnets, is_special, outside_networks
from testbed.rules.environment import Mention
from testbed.rules.ruleset import AnyRuleset
from testbed.topology import Address, Prefix

_PREFIX = {172: 16}  # of the subnets that Docker chooses for networks: 172.17.0.0/16 and following, else /24
_PRIVATE = [IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]  # RFC 1918


def with_containers(host: DockerHost, rulesets: Sequence[AnyRuleset]) -> tuple[DockerHost, list[Guess]]:
    """Return the host with a container for each address that packets are translated to, and what was added."""
    added = _Containers(host, rulesets)
    for address in named_by_rules.targets(rulesets):
        added.add(address)
    if not added.guesses:
        return host, []
    return replace(host, networks=tuple(added.networks), containers=tuple(added.containers)), added.guesses


def container_at(address: Address, network: Network, taken: Collection[Address]) -> Container:
    """Return a container on a network with an address, and with a free one of the network's other IP version."""
    name = f"container-{str(address).replace('.', '-').replace(':', '-')}"
    six = address if isinstance(address, IPv6Address) else None
    if six is None and network.gateway6 is not None and network.subnet6 is not None:
        free = free_addresses(network.subnet6, {network.gateway6.ip, *taken})
        six = next(one for one in free if isinstance(one, IPv6Address))
    four = address if isinstance(address, IPv4Address) else None
    if four is None:
        others = free_addresses(network.subnet, {network.gateway.ip, *taken})
        four = next(one for one in others if isinstance(one, IPv4Address))
    mac, veth = naming.mac(four), naming.veth(name)
    return Container(name, network, four, mac, veth, naming.veth_mac(name), address6=six)


class _Containers:
    """The networks and containers of a host, and those that are added."""

    def __init__(self, host: DockerHost, rulesets: Sequence[AnyRuleset]) -> None:
        self._rulesets = rulesets
        self._outside = outside_networks(host)
        self._interfaces = set(host.surroundings.interfaces())
        self._taken: set[Address] = {*host.addresses(), *host.own_addresses()}
        self.networks = list(host.networks)
        self.containers = list(host.containers)
        self.guesses: list[Guess] = []

    def add(self, address: Address) -> None:
        """Add a container with that address, if a container may have it."""
        if address in self._taken or not self._may_be_a_containers(address):
            return
        network = self._network_of(address)
        if network is None:
            network, assumed = self._new_network(address)
            self.networks.append(network)
            gateways = [own for own in (network.gateway, network.gateway6) if own is not None]
            self._taken |= {own.ip for own in gateways}
            texts = tuple(map(str, gateways))
            self.guesses.append(Guess(GuessKind.NETWORK, network.bridge, texts, because=str(address), assumed=assumed))
        if address in self._taken:
            return
        made = container_at(address, network, self._taken)
        self._taken |= {own for own in (made.address, made.address6) if own is not None}
        self.containers.append(made)
        self.guesses.append(Guess(GuessKind.CONTAINER, made.name, (str(address),), network.bridge))

    def _may_be_a_containers(self, address: Address) -> bool:
        outside = any(address.version == own.version and address in own for own in self._outside)
        if isinstance(address, IPv6Address):
            return not outside and not is_special(address)
        return not outside and any(address in network for network in _PRIVATE)

    def _network_of(self, address: Address) -> Network | None:
        if isinstance(address, IPv6Address):
            return next((own for own in self.networks if own.subnet6 is not None and address in own.subnet6), None)
        return next((own for own in self.networks if address in own.subnet), None)

    def _new_network(self, address: Address) -> tuple[Network, bool]:
        """The network that has an address, and whether it is assumed: by the rules' own words, else one around it."""
        if isinstance(address, IPv6Address):
            return self._new_network6(address), True
        tied = [(m.name, m.subnet) for m in self._mentions if m.subnet is not None and address in m.subnet]
        if tied and not self._overlaps(tied[0][1]):
            return _bridge(tied[0][0], tied[0][1]), False
        assumed = IPv4Network((address, _PREFIX.get(address.packed[0], 24)), strict=False)
        if self._overlaps(assumed) or address in (assumed[0], assumed[1], assumed[-1]):
            assumed = IPv4Network((int(address) & ~3, 30)) if int(address) & 3 == 2 else assumed
        return _bridge(self._bridge_name(address, str(assumed)), assumed), True

    def _new_network6(self, address: IPv6Address) -> Network:
        subnet6 = IPv6Network((address, 64), strict=False)
        subnet = next(free_subnets([*self._used, *named_by_rules.prefixes(self._rulesets)]), None)
        made = _bridge(self._bridge_name(address, str(subnet6)), subnet or next(free_subnets(self._used)))
        return replace(made, gateway6=IPv6Interface((subnet6[1], subnet6.prefixlen)))

    @cached_property
    def _mentions(self) -> list[Mention]:
        return named_by_rules.mentions(self._rulesets)

    @property
    def _used(self) -> list[Prefix]:
        return [*self._outside, *(network.subnet for network in self.networks)]

    def _overlaps(self, subnet: IPv4Network) -> bool:
        return any(subnet.overlaps(own) for own in self._used if isinstance(own, IPv4Network))

    def _bridge_name(self, address: Address, subnet: str) -> str:
        name = next(named_by_rules.leading_to(self._rulesets, address), "")
        taken = {*(network.bridge for network in self.networks), *self._interfaces}
        return name if name and name not in taken else naming.bridge(subnet)


def _bridge(name: str, subnet: IPv4Network) -> Network:
    gateway = IPv4Interface((subnet[1], subnet.prefixlen))
    return Network(name, gateway, naming.mac(gateway.ip), name=name)
