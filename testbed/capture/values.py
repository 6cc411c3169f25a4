"""A real host's network as values, as its capture says them: nothing here is assumed or built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from testbed.docker.host import PublishedPort
from testbed.topology import Address, AddressWithPrefix, Prefix

HOST = "host"  # of `CapturedContainer.mode` and `CapturedNamespace.process`


@dataclass(frozen=True, slots=True)
class CapturedAddress:
    """An address of an interface; `peer` is the other end of a point-to-point link."""

    address: AddressWithPrefix
    scope: str = "global"
    peer: Address | None = None


@dataclass(frozen=True, slots=True)
class CapturedLink:
    """An interface; `kind` is iproute2's (bridge, veth, vlan ...), empty for hardware.

    `parent` is the interface below it, `peer` the index of the other end, in another namespace if `far`.
    """

    name: str
    index: int
    mac: str
    kind: str = ""
    type: str = "ether"
    mtu: int = 1500
    up: bool = True
    master: str = ""
    parent: str = ""
    peer: int | None = None
    far: bool = False
    addresses: tuple[CapturedAddress, ...] = ()
    altnames: tuple[str, ...] = ()
    hairpin: bool = False
    isolated: bool = False
    vlan_filtering: bool = False
    xdp: bool = False
    line: int = field(default=0, compare=False)

    @property
    def global_addresses(self) -> tuple[CapturedAddress, ...]:
        """Return the addresses that others can use: none of the link's own, and none of the host alone."""
        return tuple(own for own in self.addresses if own.scope not in ("link", "host"))


@dataclass(frozen=True, slots=True)
class CapturedRoute:
    """A route of any table; `protocol` is what added it (kernel, boot, static, dhcp ...)."""

    destination: Prefix
    kind: str = "unicast"
    via: Address | None = None
    device: str = ""
    table: str = "main"
    metric: int = 0
    source: Address | None = None
    protocol: str = ""
    scope: str = ""
    flags: tuple[str, ...] = ()
    hops: int = 1
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class CapturedRule:
    """A rule of the routing policy database; `other` are selectors and actions that are none of these."""

    version: int
    priority: int
    table: str = ""
    action: str = "lookup"
    source: Prefix | None = None
    destination: Prefix | None = None
    mark: int | None = None
    mask: int | None = 0xFFFFFFFF
    entered: str = ""
    left: str = ""
    protocol: str = ""
    source_ports: tuple[int, int] | None = None
    destination_ports: tuple[int, int] | None = None
    inverted: bool = False
    suppress_prefix: int | None = None
    other: tuple[str, ...] = ()
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class CapturedNeighbour:
    """A permanent entry of the neighbour table."""

    address: Address
    mac: str
    device: str


@dataclass(frozen=True, slots=True)
class CapturedListener:
    """A socket that waits; without an address it is open on all, of both IP versions. `programs` are its owners."""

    protocol: str
    port: int
    address: Address | None = None
    device: str = ""
    programs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CapturedNetwork:
    """A network of Docker or Podman; `pools` are subnets with the gateway of each."""

    name: str
    id: str
    driver: str
    internal: bool = False
    ipv6: bool = False
    pools: tuple[tuple[Prefix, Address | None], ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    created: str = ""
    line: int = field(default=0, compare=False)

    def option(self, key: str, default: str = "") -> str:
        return dict(self.options).get(key, default)


@dataclass(frozen=True, slots=True)
class CapturedEndpoint:
    """A container's connection to a network, as the engine says it."""

    network: str
    mac: str = ""
    addresses: tuple[AddressWithPrefix, ...] = ()


@dataclass(frozen=True, slots=True)
class CapturedContainer:
    """A container; `wanted` are the ports that it is to have, `bound` those that the engine bound."""

    name: str
    id: str
    state: str
    process: int
    mode: str
    started: str = ""
    wanted: tuple[str, ...] = ()
    bound: tuple[PublishedPort, ...] = ()
    endpoints: tuple[CapturedEndpoint, ...] = ()
    project: str = ""
    service: str = ""
    namespace: str = ""
    line: int = field(default=0, compare=False)

    @property
    def runs(self) -> bool:
        return self.state in ("running", "paused") and self.process > 0


@dataclass(frozen=True, slots=True)
class CapturedNamespace:
    """The network of a container, as the process with this id sees it."""

    process: int
    links: tuple[CapturedLink, ...] = ()
    routes: tuple[CapturedRoute, ...] = ()
    rules: tuple[CapturedRule, ...] = ()
    listeners: tuple[CapturedListener, ...] = ()


@dataclass(frozen=True, slots=True)
class CapturedEngine:
    """Docker or Podman, and its version; `firewall` is the backend that it names, if it does."""

    program: str
    version: str
    firewall: str = ""
    swarm: bool = False
    rootless: bool = False


@dataclass(frozen=True, slots=True)
class CapturedRules:
    """The rules of one program: its text, with the line numbers of the source, and how many lines are no comment."""

    program: str
    text: str

    @property
    def lines(self) -> int:
        return sum(1 for line in self.text.splitlines() if line.strip() and not line.startswith("#"))


@dataclass(frozen=True, slots=True)
class HostCapture:
    """All that a capture says. `unread` are (section, reason) for what could not be read where it was taken.

    `rules` are by program: iptables-nft, iptables-legacy, ip6tables-nft, ip6tables-legacy, nft, ipset, ebtables.
    """

    source: str
    links: tuple[CapturedLink, ...]
    taken: str = ""
    host: str = ""
    kernel: str = ""
    routes: tuple[CapturedRoute, ...] = ()
    routing_rules: tuple[CapturedRule, ...] = ()
    neighbours: tuple[CapturedNeighbour, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    rules: tuple[CapturedRules, ...] = ()
    listeners: tuple[CapturedListener, ...] = ()
    tc: tuple[str, ...] = ()
    ipvs: tuple[str, ...] = ()
    connections: int | None = None
    engines: tuple[CapturedEngine, ...] = ()
    networks: tuple[CapturedNetwork, ...] = ()
    containers: tuple[CapturedContainer, ...] = ()
    namespaces: tuple[CapturedNamespace, ...] = ()
    changed: tuple[str, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()

    def link(self, name: str) -> CapturedLink | None:
        return next((link for link in self.links if link.name == name), None)

    def rules_of(self, program: str) -> CapturedRules | None:
        """Return the rules of a program if it has any line that is no comment."""
        return next((rules for rules in self.rules if rules.program == program and rules.lines), None)

    def running(self) -> Iterator[CapturedContainer]:
        return (container for container in self.containers if container.runs)

    def namespace_of(self, container: CapturedContainer) -> CapturedNamespace | None:
        """Return the network that a container has, its own or a shared one; None for the host's and what is unread."""
        sharing = {own.process for own in self.containers if own.namespace and own.namespace == container.namespace}
        return next((one for one in self.namespaces if one.process in {container.process, *sharing}), None)
