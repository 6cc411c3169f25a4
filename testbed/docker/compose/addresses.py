"""The networks of a host as an engine makes them: subnets, and the addresses that containers get there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Generic, TypeVar

from testbed.docker import naming
from testbed.docker.compose.networks import (
    DOCKER0,
    DOCKER0_KEY,
    HOST,
    NONE,
    IpamPool,
    NetworkRequest,
    built,
    gateway_of,
)
from testbed.docker.daemon import DEFAULT_BRIDGE, Daemon
from testbed.docker.host import Network, VersionRequirement, isolated_only_within
from testbed.docker.network import refuse_subnet_of_bed
from testbed.docker.problems import Problems
from testbed.docker.surroundings import Surroundings, Uplink
from testbed.docker.tree import Tree
from testbed.errors import TopologyError

A = TypeVar("A", IPv4Address, IPv6Address)
_Subnet = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address
_MADE_UP_SINCE = (27, 0)


class Addresses(Generic[A]):
    """The addresses of one subnet of a network, given out as an engine does: the lowest that is free."""

    def __init__(self, subnet: _Subnet, pool: IpamPool | None, own: A) -> None:
        self._subnet: _Subnet = subnet
        self._kind: type[A] = type(own)
        kept: tuple[_Address, ...] = pool.kept if pool is not None else ()
        if own in kept:
            raise TopologyError(f"the address {own} is kept back, and is the gateway's.", "Choose another one.")
        self._taken: set[_Address] = {own, *kept}
        self._free: Iterator[A] = self._in_turn(pool.part if pool is not None and pool.part is not None else subnet)

    def _in_turn(self, part: _Subnet) -> Iterator[A]:
        """The addresses of a part, without the subnet's first, and without its last of IPv4."""
        start = int(part[0]) + (part[0] == self._subnet[0])
        end = int(part[-1]) - (part.version == 4 and part[-1] == self._subnet[-1])
        return (self._kind(number) for number in range(start, end + 1))

    def chosen(self, tree: Tree, key: str, wanted: A | None) -> A:
        """Return the address asked for, or the next that is free; TopologyError where it cannot be had."""
        if wanted is None:
            return self._next()
        if wanted not in self._subnet:
            raise tree.child(key).error(f"{wanted} is not in {self._subnet}.")
        if wanted in self._taken:
            raise TopologyError(f"the address {wanted} is there twice.")
        self._taken.add(wanted)
        return wanted

    def _next(self) -> A:
        for address in self._free:
            if address not in self._taken:
                self._taken.add(address)
                return address
        raise TopologyError(f"{self._subnet} has no free address any more.", "Give the network a larger subnet.")


@dataclass(frozen=True, slots=True)
class StationNetwork:
    """A macvlan or ipvlan network; its containers stand in the LAN of `uplink`, or, without one, in none of the bed."""

    request: NetworkRequest
    addresses: Addresses[IPv4Address]
    uplink: Uplink | None


class Networks:
    """The networks of a host: the engine's own, and those of the file that services use.

    `in_bed`: the host is to stand in a bed, so that subnets of its surroundings are refused.
    """

    def __init__(
        self,
        daemon: Daemon,
        requests: dict[str, NetworkRequest],
        problems: Problems,
        surroundings: Surroundings,
        in_bed: bool,
    ) -> None:
        self._daemon = daemon
        self._surroundings = surroundings
        self._in_bed = in_bed
        self._problems = problems
        self._explicit = [pool.subnet for request in requests.values() for pool in request.pools.values()]
        self.requests = requests
        self.made: dict[str, Network] = {}
        self.stations: dict[str, StationNetwork] = {}
        self.addresses: dict[str, Addresses[IPv4Address]] = {}  # by bridge
        self.addresses6: dict[str, Addresses[IPv6Address]] = {}
        self.remarks: list[str] = []
        self.requirements: list[VersionRequirement] = list(daemon.requirements)
        self._taken: list[tuple[str, _Subnet]] = []
        if daemon.docker0 is not None:
            self._make_docker0(daemon.docker0)
        by_engine = sorted(requests.values(), key=lambda request: not request.external)
        self.refused = set(requests)
        for request in by_engine:
            with problems.collected(), request.tree.blamed():
                self._make(request)
                self.refused.remove(request.key)

    @property
    def in_order(self) -> tuple[Network, ...]:
        """The networks in the order in which they were made, each once."""
        return tuple(dict.fromkeys(self.made.values()))

    def network(self, key: str) -> Network:
        """Return the network of that key, which was made; TopologyError for docker0 where the host has none."""
        if key == DOCKER0_KEY and key not in self.made:
            raise TopologyError("the host has no docker0.", "Leave out `bridge: none` of the daemon.")
        return self.made[key]

    def _make_docker0(self, gateway: IPv4Interface) -> None:
        daemon = self._daemon
        subnet6 = daemon.subnet6
        gateway6 = IPv6Interface(f"{subnet6[1]}/{subnet6.prefixlen}") if subnet6 is not None else None
        network = Network(
            daemon.bridge,
            gateway,
            naming.mac(gateway.ip),
            name=DOCKER0,
            icc=daemon.icc,
            masquerade=daemon.masquerade,
            gateway6=gateway6,
            binding=daemon.binding,
            mtu=daemon.mtu,
        )
        if daemon.bridge != DEFAULT_BRIDGE:
            self.remarks.append(
                f"the bridge {daemon.bridge} is one of the host's own, whose address daemon.json does not say: here it"
                f" has {gateway}."
            )
        part = daemon.docker0_range
        pool = IpamPool(gateway.network, gateway.ip, part, ()) if part is not None else None
        self._add(DOCKER0_KEY, network, {4: pool} if pool is not None else {})

    def _make(self, request: NetworkRequest) -> None:
        if request.docker0:
            self.made[request.key] = self.network(DOCKER0_KEY)
            return
        if request.driver in (HOST, NONE):
            return
        if request.of_stations:
            self.stations[request.key] = self._of_stations(request)
            return
        self.requirements += request.options.requirements()
        subnet = self._subnet(request)
        network = built(request, subnet, self._subnet6(request), naming.bridge(request.name))
        isolated_only_within(network)
        self._add(request.key, network, request.pools)
        if request.external:
            self.remarks.append(
                f"the network {request.name} is external and not described, so it has the engine's defaults here; a "
                f"second file may describe it: networks: {{{request.key}: {{external: false, name: {request.name}}}}}."
            )

    def _of_stations(self, request: NetworkRequest) -> StationNetwork:
        """A network in the LAN, where its subnet is that of an uplink; else one that the bed does not have."""
        subnet = self._subnet(request)
        self._unlike_others(request.name, subnet)
        addresses = Addresses(subnet, request.pools.get(4), IPv4Address(gateway_of(request, subnet)))
        inside = [
            uplink
            for uplink in self._surroundings.uplinks
            for own in uplink.addresses
            if isinstance(own, IPv4Interface) and subnet.subnet_of(own.network) and not request.internal
        ]
        return StationNetwork(request, addresses, inside[0] if inside else None)

    def _add(self, key: str, network: Network, pools: dict[int, IpamPool]) -> None:
        for subnet in (network.subnet, network.subnet6):
            if subnet is not None:
                self._claim(network.bridge, subnet)
        self.made[key] = network
        self.addresses[network.bridge] = Addresses(network.subnet, pools.get(4), network.gateway.ip)
        if network.gateway6 is not None:
            own = network.gateway6
            self.addresses6[network.bridge] = Addresses(own.network, pools.get(6), own.ip)

    def _claim(self, bridge: str, subnet: _Subnet) -> None:
        if self._in_bed:
            refuse_subnet_of_bed(subnet, self._surroundings)
        self._unlike_others(bridge, subnet)

    def _unlike_others(self, bridge: str, subnet: _Subnet) -> None:
        for other, taken in self._taken:
            if taken.version == subnet.version and taken.overlaps(subnet):
                raise TopologyError(f"the subnets of {other} and {bridge} overlap: {taken}.", "Choose another subnet.")
        self._taken.append((bridge, subnet))

    def _subnet(self, request: NetworkRequest) -> IPv4Network:
        """The subnet asked for, or the first that is free of the daemon's pools, as engines give them out."""
        pool = request.pools.get(4)
        if pool is not None:
            assert isinstance(pool.subnet, IPv4Network)
            return pool.subnet
        outside = (network for _, network in self._surroundings.networks())
        known_subnets = (*(s for _, s in self._taken), *self._explicit, *outside)
        taken = [subnet for subnet in known_subnets if isinstance(subnet, IPv4Network)]
        for known in self._daemon.pools:
            for subnet in known.base.subnets(new_prefix=known.size):
                if not any(subnet.overlaps(other) for other in taken):
                    return subnet
        raise TopologyError(
            "all subnets that Docker gives out by itself are taken.", "Write `subnet` for this network."
        )

    def _subnet6(self, request: NetworkRequest) -> IPv6Network | None:
        if not request.ipv6:
            return None
        pool = request.pools.get(6)
        if pool is not None:
            assert isinstance(pool.subnet, IPv6Network)
            return pool.subnet
        subnet = naming.subnet6(request.name)
        what = f"a network with IPv6 and without a subnet of it ({request.name})"
        self.requirements.append(VersionRequirement(what, _MADE_UP_SINCE, request.tree.place))
        self.remarks.append(f"{request.name} has no subnet of IPv6; an engine makes one up by chance, here {subnet}.")
        return subnet
