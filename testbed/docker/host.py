"""What runs on a Docker host: bridge networks, containers on them, ports published to the LAN."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from itertools import combinations

from testbed.docker.article_surroundings import SURROUNDINGS
from testbed.docker.lan import Around, around
from testbed.docker.surroundings import Surroundings
from testbed.errors import TopologyError
from testbed.topology import MTU, AddressWithPrefix

LOOPBACK, LOOPBACK6 = IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")


class GatewayMode(Enum):
    """How a network's containers are reached from outside (com.docker.network.bridge.gateway_mode_ipv4).

    NAT: by published ports, which are translated. NAT_UNPROTECTED: also by their own addresses, on every port
    (since engine 28). ROUTED: by their own addresses, on published ports, without translation (since 27).
    ISOLATED: not at all, and not by the host itself either, since the bridge has no address (since 28).
    """

    NAT = "nat"
    NAT_UNPROTECTED = "nat-unprotected"
    ROUTED = "routed"
    ISOLATED = "isolated"


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """`-p ADDRESS:HOST:CONTAINER/PROTOCOL`: a port of the host that is translated to one of the container.

    Without an address it is published on all of the host's, IPv4 and IPv6; 0.0.0.0 and :: are all of one version.
    """

    host: int
    container: int
    protocol: str = "tcp"
    address: IPv4Address | IPv6Address | None = None

    def __post_init__(self) -> None:
        for port in (self.host, self.container):
            if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
                raise TopologyError(f"{port!r} is no port; ports are numbers from 1 to 65535.")
        if self.protocol not in ("tcp", "udp", "sctp"):
            raise TopologyError(f"{self.protocol} has no ports to publish; use tcp, udp or sctp.")

    @property
    def everywhere(self) -> bool:
        """Whether it is published on all addresses of the host, or all of one version."""
        return self.address is None or self.address.is_unspecified

    @property
    def on_loopback(self) -> bool:
        return self.address is not None and (self.address in LOOPBACK or self.address in LOOPBACK6)

    def in_version(self, version: int) -> bool:
        """Whether it is published on addresses of that version of IP."""
        return self.address is None or self.address.version == version

    def collides_with(self, other: PublishedPort) -> bool:
        """Whether both ask for one port of one address of the host."""
        if (self.host, self.protocol) != (other.host, other.protocol):
            return False
        if self.address is None or other.address is None or self.address == other.address:
            return True
        return self.address.version == other.address.version and (self.everywhere or other.everywhere)

    def __str__(self) -> str:
        if self.address is None:
            return f"{self.host}:{self.container}/{self.protocol}"
        address = f"[{self.address}]" if self.address.version == 6 else self.address
        return f"{address}:{self.host}:{self.container}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class VersionRequirement:
    """What only engines from a version on know, and the place where the description of a host asks for it."""

    what: str
    since: tuple[int, ...]
    place: str

    @property
    def version(self) -> str:
        return ".".join(map(str, self.since))


@dataclass(frozen=True, slots=True)
class Network:
    """A bridge network; `gateway` is the bridge's own address with its prefix length, `gateway6` that of IPv6, if any.

    `icc`: its containers may speak with each other. `masquerade`: they go out under the host's address. `internal`:
    nothing goes out or comes in. `name` is what it is called in Docker; by it engines choose among several.
    In mode isolated the bridge has no address, and `gateway` is one that no container gets, or the subnet's own.
    `binding` is the host's address on which ports are published that name none (host_binding_ipv4).
    `snat` and `snat6` are addresses of the host under which containers go out in place of the way's own
    (com.docker.network.host_ipv4); `trusted` are interfaces from which a container's own address can be reached, as
    from the bridge (com.docker.network.bridge.trusted_host_interfaces, since 28.2). `addressed`: the bridge has its
    address of IPv4; `routes_out`: containers have a default route by it, though it be internal. Engines see to both
    (docker/engines/building.py).
    """

    bridge: str
    gateway: IPv4Interface
    mac: str
    index: int | None = None
    name: str = ""
    icc: bool = True
    masquerade: bool = True
    internal: bool = False
    mode: GatewayMode = GatewayMode.NAT
    gateway6: IPv6Interface | None = None
    mode6: GatewayMode = GatewayMode.NAT
    binding: IPv4Address | None = None
    snat: IPv4Address | None = None
    snat6: IPv6Address | None = None
    trusted: tuple[str, ...] = ()
    mtu: int = MTU
    addressed: bool = True
    routes_out: bool = False

    @property
    def subnet(self) -> IPv4Network:
        return self.gateway.network

    @property
    def subnet6(self) -> IPv6Network | None:
        return self.gateway6.network if self.gateway6 is not None else None

    @property
    def bridge_addresses(self) -> tuple[AddressWithPrefix, ...]:
        """What the bridge itself has: none of a version of IP whose mode is isolated (as seen with 28.5.2)."""
        gateway = self.gateway if self.addressed else None
        found = ((gateway, self.mode), (self.gateway6, self.mode6))
        return tuple(gateway for gateway, mode in found if gateway is not None and mode is not GatewayMode.ISOLATED)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A container's connection to a network: its addresses there, and the veth pair.

    `index` is the interface index of the container's end, `veth_index` that of the other end on the host.
    """

    network: Network
    address: IPv4Address
    mac: str
    veth: str
    veth_mac: str
    index: int | None = None
    veth_index: int | None = None
    address6: IPv6Address | None = None
    gateway_priority: int = 0


def outward_order(priority: int, six: bool, name: str) -> tuple[int, int, str]:
    """The key by which engines order networks for a default route: the highest `gw_priority` comes first.

    Among equals it is a network with IPv6, then the one whose name comes first (moby, libnetwork/sandbox.go:
    Endpoint.Less; seen with 20.10.24, 26.1.5 and 28.5.2).
    """
    return -priority, -six, name


def _outward_order(own: Attachment) -> tuple[int, int, str]:
    return outward_order(own.gateway_priority, own.network.gateway6 is not None, own.network.name)


@dataclass(frozen=True, slots=True)
class Container:
    """A container on a network, as Attachment says it, and maybe on more (`also`); its ends are eth0, eth1 ...

    Without `outward` its default route, and with it its published ports, are by a network that is no bridge (macvlan).
    """

    name: str
    network: Network
    address: IPv4Address
    mac: str
    veth: str
    veth_mac: str
    published: tuple[PublishedPort, ...] = ()
    index: int | None = None
    veth_index: int | None = None
    address6: IPv6Address | None = None
    also: tuple[Attachment, ...] = ()
    gateway_priority: int = 0
    outward: bool = True

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """Its connections, eth0's first."""
        first = Attachment(
            self.network,
            self.address,
            self.mac,
            self.veth,
            self.veth_mac,
            self.index,
            self.veth_index,
            self.address6,
            self.gateway_priority,
        )
        return (first, *self.also)

    @property
    def default_route(self) -> Attachment | None:
        """The connection by which it reaches all that is elsewhere: its gateway, or an internal network's bridge."""
        inside = (own for own in self.attachments if own.network.routes_out)
        return self.gateway or min(inside, key=lambda own: own.network.name, default=None)

    @property
    def gateway(self) -> Attachment | None:
        """The connection that has its default route, and by which its ports are published; None: it has none.

        Of the networks that are not internal it is the first in the engine's order (`outward_order`).
        """
        return min(self._outward, key=_outward_order, default=None)

    @property
    def gateway6(self) -> Attachment | None:
        """The same for IPv6: the first connection that has it. Engines before 28 have no other than `gateway`."""
        six = [own for own in self._outward if own.address6 is not None]
        return min(six, key=_outward_order, default=None)

    @property
    def _outward(self) -> list[Attachment]:
        return [own for own in self.attachments if self.outward and not own.network.internal]


@dataclass(frozen=True, slots=True)
class DockerHost:
    """A host of any engine; networks and containers in the order in which they were made.

    With `userland_proxy` (Docker's default) connections from the host's loopback and from a container to a published
    port are a proxy's business; without it the rules translate them too and bridge ports send back what came from
    them (hairpin). Without `iptables` the engine writes no rules for IPv4, and the proxy is all there is; `ip6tables`
    is the same for IPv6, None: as the engine does unasked. `surroundings` are its uplinks and all that it has besides
    Docker.

    Without `forwarding` the engine does not switch it on, and the host does not forward; with it, `forward_drop` says
    whether the engine sets FORWARD's policy to DROP. It leaves that policy for the IP versions of `forwards`, in which
    the host forwards before the engine starts (moby, setup_ip_forwarding.go). `direct_routing`: packets for a
    container's own address are let through (allow-direct-routing). `nftables` is the firewall backend that is asked
    for, None: whichever.

    `names` are other names for nodes of the bed: (name, node). `requirements` are what not every engine knows, and
    `remarks` say, in sentences, what was assumed where the description leaves it open.

    Raises TopologyError for a host that cannot be: an address outside its network, a name or an address or a port
    taken twice.
    """

    networks: tuple[Network, ...]
    containers: tuple[Container, ...]
    userland_proxy: bool = True
    ip6tables: bool | None = None
    iptables: bool = True
    forwarding: bool = True
    forward_drop: bool = True
    direct_routing: bool = False
    nftables: bool | None = None
    names: tuple[tuple[str, str], ...] = ()
    requirements: tuple[VersionRequirement, ...] = ()
    remarks: tuple[str, ...] = ()
    surroundings: Surroundings = SURROUNDINGS
    forwards: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _once("bridge", (network.bridge for network in self.networks))
        _once("container", (container.name for container in self.containers))
        for container in self.containers:
            _once(f"network of {container.name},", (own.network.bridge for own in container.attachments))
        for network in self.networks:
            isolated_only_within(network)
        for one, other in combinations(self.networks, 2):
            if one.subnet.overlaps(other.subnet):
                raise TopologyError(f"the subnets of {one.bridge} and {other.bridge} overlap: {one.subnet}.")
            if one.subnet6 and other.subnet6 and one.subnet6.overlaps(other.subnet6):
                raise TopologyError(f"the subnets of {one.bridge} and {other.bridge} overlap: {one.subnet6}.")
        outside = [own.ip for own in self.surroundings.addresses() if not own.ip.is_link_local]
        _once("address", map(str, (*self.addresses(), *outside)))
        _once("interface", (*self.surroundings.interfaces(), *(network.bridge for network in self.networks)))
        for container in self.containers:
            _belongs(container, self.networks)
        _published_once(self.containers)
        _listened_once(self)

    def node_called(self, name: str) -> str | None:
        """Return the node that has this name beside its own; None: there is none, or there are several."""
        nodes = {node for known, node in self.names if known == name}
        return nodes.pop() if len(nodes) == 1 else None

    def network_called(self, name: str) -> Network | None:
        """Return the network of this name, if any."""
        return next((network for network in self.networks if network.name == name), None)

    def addresses(self) -> list[IPv4Address | IPv6Address]:
        """Every address that a bridge or a container has."""
        taken = [(network.gateway.ip, network.gateway6 and network.gateway6.ip) for network in self.networks]
        taken += [(own.address, own.address6) for container in self.containers for own in container.attachments]
        return [address for pair in taken for address in pair if address is not None]

    @property
    def ipv6(self) -> bool:
        """Whether it has IPv6, outside or in any of its networks."""
        return bool(self.surroundings.ipv6) or any(network.gateway6 is not None for network in self.networks)

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions that it uses."""
        return (4, 6) if self.ipv6 else (4,)

    @property
    def around(self) -> Around:
        """The networks beside it: LANs, gateways, the internet."""
        subnets = tuple(own for network in self.networks for own in (network.subnet, network.subnet6) if own)
        return around(self.surroundings, self.ipv6, subnets)

    def own_addresses(self) -> list[IPv4Address | IPv6Address]:
        """Return the host's addresses, outside and of its bridges; the one for others first in each IP version."""
        lans = [own.ip for lan in self.around.lans for own in lan.uplink.addresses]
        others = [own.ip for own in self.surroundings.own_addresses() if own.version == 4 or self.ipv6]
        bridges = [own.ip for network in self.networks for own in network.bridge_addresses]
        return list(dict.fromkeys((*lans, *others, *bridges)))

    def published(self) -> tuple[tuple[Container, PublishedPort], ...]:
        """Every port that rules publish; those of containers on internal networks alone are not."""
        return tuple((c, port) for c in self.containers if c.gateway is not None for port in c.published)

    def offered(self) -> tuple[tuple[Container, PublishedPort], ...]:
        """The TCP ports of the host that the LAN can ask for, and whose they are."""
        return tuple(
            (container, port)
            for container, port in self.published()
            if port.protocol == "tcp" and not port.on_loopback and self.versions_of(container, port)
        )

    def versions_of(self, container: Container, port: PublishedPort) -> tuple[int, ...]:
        """The versions of IP in which the host itself has a container's port: none where the network is routed.

        Engines bind no port there, and start no docker-proxy (moby, libnetwork/drivers/bridge/port_mapping_linux.go:
        attemptBindHostPorts).
        """
        gateway = container.gateway
        if gateway is None:
            return ()
        gateway6 = container.gateway6 or gateway
        modes = {4: gateway.network.mode, 6: gateway6.network.mode6} if self.ipv6 else {4: gateway.network.mode}
        return tuple(v for v, mode in modes.items() if port.in_version(v) and mode is not GatewayMode.ROUTED)


def isolated_only_within(network: Network) -> None:
    """Raise TopologyError for a network that is isolated and not internal."""
    isolated = GatewayMode.ISOLATED in (network.mode, network.mode6 if network.gateway6 is not None else None)
    if isolated and not network.internal:
        raise TopologyError(
            f"{network.bridge}: the gateway mode isolated is for internal networks only.",
            "Give the network `internal: true`, or another mode.",
        )


def _published_once(containers: tuple[Container, ...]) -> None:
    asked: dict[tuple[int, str], list[tuple[str, PublishedPort]]] = {}
    for container in containers:
        for port in container.published:
            others = asked.setdefault((port.host, port.protocol), [])
            for name, other in others:
                if port.collides_with(other):
                    raise TopologyError(
                        f"port {port.host}/{port.protocol} is published by {name} and by {container.name}."
                    )
            others.append((container.name, port))


def _listened_once(host: DockerHost) -> None:
    """Raise TopologyError for a port that a container publishes and the host itself listens on."""
    for container, port in host.published():
        for listener in host.surroundings.listeners:
            own = PublishedPort(listener.port, port.container, listener.protocol, listener.address)
            if host.userland_proxy and port.collides_with(own):
                raise TopologyError(
                    f"port {port.host}/{port.protocol} is published by {container.name}, and {listener} is a listener"
                    " of the host.",
                    "Remove one of them.",
                )


def _once(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise TopologyError(f"the {what} {name} is there twice.")
        seen.add(name)


def _belongs(container: Container, networks: tuple[Network, ...]) -> None:
    for own in container.attachments:
        network, subnet6 = own.network, own.network.subnet6
        if network not in networks:
            raise TopologyError(f"container {container.name} is on {network.bridge}, which the host has not.")
        if own.address not in network.subnet:
            raise TopologyError(f"container {container.name}: {own.address} is not in {network.subnet}.")
        if (own.address6 is None) != (subnet6 is None):
            raise TopologyError(f"container {container.name} and its network: one has IPv6, the other has not.")
        if own.address6 is not None and subnet6 is not None and own.address6 not in subnet6:
            raise TopologyError(f"container {container.name}: {own.address6} is not in {subnet6}.")
