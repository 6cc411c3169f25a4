"""A host as one family of rules sees it: iptables its IPv4 side, ip6tables its IPv6 side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from testbed.docker.host import Attachment, Container, DockerHost, GatewayMode, Network, PublishedPort
from testbed.errors import TopologyError
from testbed.rules.ruleset import IPV6
from testbed.topology import Address, Prefix


@dataclass(frozen=True, slots=True)
class IptablesFamily:
    """What differs between iptables and ip6tables: what tables are called, loopback, the echo's protocol."""

    version: int
    prefix: str
    loopback: str
    icmp: str
    bits: int

    def to(self, address: Address, port: int) -> str:
        """An address and a port, as `--to-destination` wants them."""
        return f"[{address}]:{port}" if self.version == 6 else f"{address}:{port}"


FAMILY4 = IptablesFamily(4, "", "127.0.0.0/8", "icmp", 32)
FAMILY6 = IptablesFamily(6, IPV6, "::1/128", "ipv6-icmp", 128)


@dataclass(frozen=True, slots=True)
class Bridged:
    """A network; all of it is as in host.Network, but there is one subnet, or None where the family has none there."""

    bridge: str
    subnet: Prefix | None
    icc: bool
    masquerade: bool
    internal: bool
    mode: GatewayMode
    snat: Address | None
    trusted: tuple[str, ...]

    @property
    def translated(self) -> str:
        """The target of what goes out under an address of the host."""
        return "MASQUERADE" if self.snat is None else f"SNAT --to-source {self.snat}"


@dataclass(frozen=True, slots=True)
class NetworkAttachment:
    """A container's connection to a network, and the ports that are published by it.

    `proxied` are published on IPv6 addresses of the host alone, for a container without one: docker-proxy's business.
    """

    network: Bridged
    address: Address
    published: tuple[PublishedPort, ...]
    proxied: tuple[PublishedPort, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """One family's networks and connections, in the order in which they were made.

    `forward_policy` is what the engine leaves as FORWARD's; with `direct_routing` it lets packets for a container's own
    address through.

    `bridges` are all networks of the host, whether or not they have addresses of this family.
    """

    family: IptablesFamily
    bridges: tuple[Bridged, ...]
    attached: tuple[NetworkAttachment, ...]
    userland_proxy: bool
    forward_policy: str = "DROP"
    direct_routing: bool = False

    @property
    def networks(self) -> tuple[Bridged, ...]:
        return tuple(network for network in self.bridges if network.subnet is not None)


def view4(host: DockerHost) -> View:
    """What iptables is about."""
    networks = {
        n: Bridged(n.bridge, n.subnet, n.icc, n.masquerade, n.internal, n.mode, n.snat, n.trusted)
        for n in host.networks
    }
    attached = (
        NetworkAttachment(networks[own.network], own.address, _ports(container, own, 4), _proxied(host, container, own))
        for container in host.containers
        for own in container.attachments
    )
    return _view(FAMILY4, networks, attached, host)


def view6(host: DockerHost) -> View:
    """What ip6tables is about."""
    networks = {
        n: Bridged(n.bridge, n.subnet6, n.icc, n.masquerade, n.internal, n.mode6, n.snat6, n.trusted)
        for n in host.networks
    }
    attached = (
        NetworkAttachment(networks[own.network], own.address6, _ports(container, own, 6))
        for container in host.containers
        for own in container.attachments
        if own.address6 is not None
    )
    return _view(FAMILY6, networks, attached, host)


def _view(
    family: IptablesFamily, networks: dict[Network, Bridged], attached: Iterable[NetworkAttachment], host: DockerHost
) -> View:
    switched_on = host.forwarding and family.version not in host.forwards
    policy = "DROP" if switched_on and host.forward_drop else "ACCEPT"
    return View(family, tuple(networks.values()), tuple(attached), host.userland_proxy, policy, host.direct_routing)


def refuse_trusted(host: DockerHost, engine: str) -> None:
    """Raise TopologyError for trusted interfaces, which only engines since 28.2 know."""
    for network in host.networks:
        if network.trusted:
            raise TopologyError(
                f"{network.bridge}: engine {engine} does not know trusted_host_interfaces.",
                "Choose an engine from 28.2 on.",
            )


def wants_ip6(host: DockerHost) -> bool:
    """Whether the rules for IPv6 of engines since 28 are shown: asked for in so many words, or with networks in them.

    Such engines write their chains on a host without IPv6 networks, too; nothing passes them there.
    """
    return host.ip6tables is True or (host.ipv6 and host.ip6tables is not False)


def _proxied(host: DockerHost, container: Container, attachment: Attachment) -> tuple[PublishedPort, ...]:
    if not host.userland_proxy or container.gateway6 is not None or attachment != container.gateway:
        return ()
    return tuple(port for port in container.published if not port.in_version(4))


def _ports(container: Container, attachment: Attachment, version: int) -> tuple[PublishedPort, ...]:
    if attachment != (container.gateway if version == 4 else container.gateway6):
        return ()
    return tuple(port for port in container.published if port.in_version(version))
