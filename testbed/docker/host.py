"""What runs on a Docker host: bridge networks, containers on them, ports published to the LAN."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.errors import TopologyError


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """`-p HOST:CONTAINER/PROTOCOL`: a port of the host that is translated to one of the container."""

    host: int
    container: int
    protocol: str = "tcp"

    def __post_init__(self) -> None:
        for port in (self.host, self.container):
            if not 0 < port < 65536:
                raise TopologyError(f"{port} is no port; ports are 1 to 65535.")
        if self.protocol not in ("tcp", "udp", "sctp"):
            raise TopologyError(f"{self.protocol} has no ports to publish; use tcp, udp or sctp.")


@dataclass(frozen=True, slots=True)
class Network:
    """A bridge network; `gateway` is the bridge's own address with its prefix length."""

    bridge: str
    gateway: IPv4Interface
    mac: str
    index: int | None = None

    @property
    def subnet(self) -> IPv4Network:
        return self.gateway.network


@dataclass(frozen=True, slots=True)
class Container:
    """A container on one network, and the veth pair that connects it.

    `index` is the interface index of its eth0, `veth_index` that of the other end on the host.
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


@dataclass(frozen=True, slots=True)
class DockerHost:
    """A host of one engine; networks and containers in the order in which they were made.

    With `userland_proxy` (Docker's default) connections from the host's loopback and from a container to a published
    port are a proxy's business; without it the rules translate them too and bridge ports send back what came from
    them (hairpin). Raises TopologyError for a host that cannot be: an address outside its network, a port published
    twice.
    """

    networks: tuple[Network, ...]
    containers: tuple[Container, ...]
    userland_proxy: bool = True

    def __post_init__(self) -> None:
        for container in self.containers:
            if container.address not in container.network.subnet:
                raise TopologyError(
                    f"container {container.name}: {container.address} is not in {container.network.subnet}."
                )
        published = Counter((p.host, p.protocol) for c in self.containers for p in c.published)
        for (port, protocol), times in published.items():
            if times > 1:
                raise TopologyError(f"port {port}/{protocol} is published {times} times.")
