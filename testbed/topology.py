"""The network around and inside a Docker host, as data: nodes, links, bridges, addresses, routes.

A node becomes a network namespace, a link becomes a veth pair. Nothing in this module touches the kernel.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from itertools import count

from testbed.errors import TopologyError

Address = IPv4Address | IPv6Address
AddressWithPrefix = IPv4Interface | IPv6Interface
Prefix = IPv4Network | IPv6Network

MAIN_TABLE = 254  # RT_TABLE_MAIN, include/uapi/linux/rtnetlink.h
MTU = 1500
LONGEST_NAME = 15  # IFNAMSIZ - 1, include/uapi/linux/if.h
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # used in file names: a pinned namespace, a record
_NOT_IN_A_DEVICE = re.compile(r"[\s/:\x00]")  # dev_valid_name, net/core/dev.c


def may_be_a_device(name: str) -> bool:
    """Return whether the kernel takes a name for an interface, apart from its length."""
    return name not in ("", ".", "..") and not _NOT_IN_A_DEVICE.search(name)


def node_name(text: str) -> str:
    """Return a name for a node from the name of an interface: other characters are hyphens."""
    return re.sub("[^A-Za-z0-9_.-]", "-", text)


@dataclass(frozen=True, slots=True)
class Interface:
    """One end of a link.

    `addresses` are the kernel's own. `scripted` are the addresses of a scripted endpoint: no kernel answers for them,
    so only the script reacts to packets for them. `index` is the requested interface index. An `isolated` port of a
    bridge exchanges no frames with other isolated ports of it.
    """

    name: str
    mac: str
    addresses: tuple[AddressWithPrefix, ...] = ()
    scripted: tuple[AddressWithPrefix, ...] = ()
    scripted_mac: str = ""
    index: int | None = None
    master: str | None = None
    hairpin: bool = False
    altnames: tuple[str, ...] = ()
    mtu: int = MTU
    isolated: bool = False

    @property
    def endpoint_mac(self) -> str:
        """The hardware address that a scripted endpoint of this interface uses."""
        return self.scripted_mac or self.mac


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge; with addresses it is a router's interface (docker0), without addresses a plain switch."""

    name: str
    mac: str
    addresses: tuple[AddressWithPrefix, ...] = ()
    index: int | None = None
    mtu: int = MTU


class RouteKind(Enum):
    """What a route does with a packet, as ip-route(8) calls it."""

    UNICAST = "unicast"
    BLACKHOLE = "blackhole"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"
    THROW = "throw"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Route:
    """A route as ip-route(8) has it: by a router (`via`), by a device alone, or one that refuses (`kind`).

    Without a device the kernel takes the one that reaches `via`; with both, the router need not be in a subnet of the
    device (`onlink`). `source` is the address that packets of the node's own get. Metric 0 is the kernel's default.
    """

    destination: Prefix
    via: Address | None = None
    device: str = ""
    kind: RouteKind = RouteKind.UNICAST
    table: int = MAIN_TABLE
    metric: int = 0
    source: Address | None = None

    @property
    def blackhole(self) -> bool:
        return self.kind is RouteKind.BLACKHOLE


class RuleAction(Enum):
    """What a routing rule does with a packet, as ip-rule(8) calls it."""

    LOOKUP = "lookup"
    BLACKHOLE = "blackhole"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """A rule of the routing policy database (ip-rule(8)), beside the kernel's own three.

    `version` is the IP version. Absent selectors match every packet. `inverted` is `not`; `suppress_prefix` is
    `suppress_prefixlength`.
    """

    priority: int
    version: int = 4
    action: RuleAction = RuleAction.LOOKUP
    table: int = MAIN_TABLE
    source: Prefix | None = None
    destination: Prefix | None = None
    mark: int | None = None
    mask: int = 0xFFFFFFFF
    entered: str = ""
    left: str = ""
    protocol: int | None = None
    source_ports: tuple[int, int] | None = None
    destination_ports: tuple[int, int] | None = None
    inverted: bool = False
    suppress_prefix: int | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """An open socket of a node's kernel; without an address it is open on all of the node's, IPv4 and IPv6."""

    protocol: str
    port: int
    address: Address | None = None

    def __post_init__(self) -> None:
        if self.protocol not in ("tcp", "udp"):
            raise TopologyError(f"{self.protocol} has no sockets that listen.", "Use tcp or udp.")
        if not 0 < self.port < 65536:
            raise TopologyError(f"{self.port} is no port; ports are numbers from 1 to 65535.")

    def __str__(self) -> str:
        address = "*" if self.address is None else f"[{self.address}]" if self.address.version == 6 else self.address
        return f"{address}:{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent entry of a node's neighbour table."""

    address: Address
    mac: str
    device: str


@dataclass(frozen=True, slots=True)
class Port:
    """A device of a node, by name."""

    node: str
    device: str

    def __str__(self) -> str:
        return f"{self.node}:{self.device}"


@dataclass(frozen=True, slots=True)
class Link:
    """A veth pair between two nodes."""

    a: Port
    b: Port

    def other(self, port: Port) -> Port:
        return self.b if port == self.a else self.a


@dataclass(frozen=True)
class Node:
    """A network namespace and its contents; `sysctls` are (key, value) below /proc/sys, written in this order.

    `late_sysctls` are written after the devices were made. `static_neighbours` are permanent entries besides those that
    the topology needs by itself. `listeners` are sockets that are open while the bed stands.
    """

    name: str
    interfaces: tuple[Interface, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    routes: tuple[Route, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    late_sysctls: tuple[tuple[str, str], ...] = field(default=())
    routing_rules: tuple[RoutingRule, ...] = ()
    static_neighbours: tuple[Neighbour, ...] = ()
    listeners: tuple[Listener, ...] = ()

    def interface(self, name: str) -> Interface:
        """Return the interface of that name; raises TopologyError when the node has none."""
        if name not in self._interfaces:
            raise TopologyError(f"node {self.name} has no interface {name}.")
        return self._interfaces[name]

    @cached_property
    def _interfaces(self) -> dict[str, Interface]:
        return {interface.name: interface for interface in self.interfaces}

    @cached_property
    def devices(self) -> tuple[Interface | Bridge, ...]:
        return (*self.interfaces, *self.bridges)

    @property
    def passes_on(self) -> bool:
        """Whether it is a router or a switch."""
        return bool(self.bridges) or ("net.ipv4.ip_forward", "1") in self.sysctls

    @property
    def policy_routing(self) -> bool:
        """Whether more than prefixes and gateways of the main table decides its routes: rules, tables, metrics, kinds.

        What only reads destinations and gateways of routes does not model such a node.
        """
        known = (RouteKind.UNICAST, RouteKind.BLACKHOLE)
        return bool(self.routing_rules) or any(
            route.table != MAIN_TABLE or route.metric or route.kind not in known for route in self.routes
        )

    @cached_property
    def indexes(self) -> dict[str, int]:
        """The interface index of each device: the requested one, else the next above all requested (1 is loopback)."""
        wishes = {device.name: device.index for device in self.devices if device.index is not None}
        free = count(max(wishes.values(), default=1) + 1)
        return {device.name: wishes.get(device.name) or next(free) for device in self.devices}

    @cached_property
    def addresses(self) -> tuple[AddressWithPrefix, ...]:
        """All addresses of this node, the scripted ones first."""
        scripted = [address for interface in self.interfaces for address in interface.scripted]
        return (*scripted, *(address for device in self.devices for address in device.addresses))

    @property
    def address(self) -> Address:
        """The main address of this node: the first scripted one, else the first of its kernel's."""
        if not self.addresses:
            raise TopologyError(f"node {self.name} has no address.")
        return self.addresses[0].ip


@dataclass(frozen=True)
class Topology:
    """Nodes and the links between them; `host` is the node whose packet filter is under test.

    Raises TopologyError when a link lacks an end or two nodes have the same address. Raises it too for a name that is
    too long for the kernel or used twice.
    """

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    host: str = "host"

    def __post_init__(self) -> None:
        _unique("node", [node.name for node in self.nodes])
        for node in self.nodes:
            if not _NODE.fullmatch(node.name):
                raise TopologyError(f"{node.name!r} is no name for a node.", "Use letters, digits, dots, - and _.")
        ports = [port for link in self.links for port in (link.a, link.b)]
        _unique("link's end", [str(port) for port in ports])
        linked = set(ports)
        for node in self.nodes:
            _check_devices(node, linked)
        for port in ports:
            self.node(port.node).interface(port.device)
        _unique("address", [str(address.ip) for node in self.nodes for address in node.addresses])
        self.node(self.host)

    def node(self, name: str) -> Node:
        """Return the node of that name; raises TopologyError when there is none."""
        if name not in self._nodes:
            known = ", ".join(node.name for node in self.nodes)
            raise TopologyError(f"there is no node {name}; this topology has {known}.")
        return self._nodes[name]

    @cached_property
    def _nodes(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def segment(self, port: Port) -> Iterator[tuple[Node, Interface | Bridge]]:
        """Yield every device with an address that a frame sent at `port` can reach without being routed."""
        for node, device in self._within_reach(port):
            if device.addresses or (isinstance(device, Interface) and device.scripted):
                yield node, device

    def _within_reach(self, port: Port) -> Iterator[tuple[Node, Interface | Bridge]]:
        """Return every other device of a port's segment whose frames are not kept from it."""
        return (
            (self.node(other.node), device)
            for other, device in self._segments[port].devices.items()
            if other != port and not self._apart(port, other)
        )

    def _apart(self, one: Port, other: Port) -> bool:
        """Whether two devices of one segment exchange no frames, since isolated ports lead to both nodes."""
        if not self._isolated:
            return False
        at_one, at_other = (self._isolated.get(port.node, frozenset()) for port in (one, other))
        return one.node != other.node and bool(at_one & at_other)

    @cached_property
    def _isolated(self) -> dict[str, frozenset[Port]]:
        """The bridges that have an isolated port for each node."""
        found: dict[str, set[Port]] = {}
        ends = [(link.a, link.b) for link in self.links] + [(link.b, link.a) for link in self.links]
        for end, other in ends:
            port = self.node(other.node).interface(other.device)
            if port.isolated and port.master is not None:
                found.setdefault(end.node, set()).add(Port(other.node, port.master))
        return {node: frozenset(bridges) for node, bridges in found.items()}

    @cached_property
    def _segments(self) -> dict[Port, _Segment]:
        """The segment of each device; each is computed once, since every node needs its neighbour entries."""
        beside = self._beside
        found: dict[Port, _Segment] = {}
        for start in beside:
            if start in found:
                continue
            devices, pending = {start: self._device(start)}, [start]
            while pending:
                for there in beside[pending.pop()]:
                    if there not in devices:
                        devices[there] = self._device(there)
                        pending.append(there)
            found.update(dict.fromkeys(devices, _Segment(devices)))
        return found

    @cached_property
    def _beside(self) -> dict[Port, list[Port]]:
        """The devices that a frame at each device reaches next: by its link, or by its bridge."""
        beside: dict[Port, list[Port]] = {Port(n.name, device.name): [] for n in self.nodes for device in n.devices}
        pairs = [(link.a, link.b) for link in self.links]
        pairs += [
            (Port(node.name, interface.name), Port(node.name, interface.master))
            for node in self.nodes
            for interface in node.interfaces
            if interface.master is not None
        ]
        for one, other in pairs:
            beside[one].append(other)
            beside[other].append(one)
        return beside

    def _device(self, port: Port) -> Interface | Bridge:
        node = self.node(port.node)
        bridge = next((bridge for bridge in node.bridges if bridge.name == port.device), None)
        return bridge if bridge is not None else node.interface(port.device)

    def neighbours(self, name: str) -> tuple[Neighbour, ...]:
        """Return the permanent neighbour entries that a node needs.

        Scripted addresses need them, since no kernel answers ARP for them. IPv6 addresses of kernels need them, since
        neighbour discovery is IP traffic (RFC 4861) that rules would count. A device has entries only for the IP
        versions in which it has an address itself.
        """
        return tuple(
            Neighbour(address, mac, device.name)
            for device in self.node(name).devices
            for version in dict.fromkeys(own.version for own in device.addresses)
            for port, address, mac in self._segments[Port(name, device.name)].permanent[version]
            if port != Port(name, device.name) and not self._apart(port, Port(name, device.name))
        )

    def mac_of(self, port: Port, address: Address) -> str:
        """Return the hardware address of `address` on the segment of `port`; raises TopologyError when it is not there.

        A kernel answers for each of its addresses on each of its devices (arp_ignore is 0, networking/ip-sysctl.rst).
        """
        for _, device in self.segment(port):
            if any(own.ip == address for own in device.addresses):
                return device.mac
            if isinstance(device, Interface) and any(own.ip == address for own in device.scripted):
                return device.endpoint_mac
        for node, near in self._within_reach(port):
            if any(own.ip == address for device in node.devices for own in device.addresses):
                return near.mac
        raise TopologyError(f"no node on the segment of {port} has the address {address}.")

    def next_hop(self, name: str, destination: Address) -> Address:
        """Return the next hop of a node for `destination`: the destination itself or a gateway.

        Raises TopologyError when the node has no route.
        """
        node = self.node(name)
        if any(destination in address.network for address in node.addresses):
            return destination
        candidates = [route for route in node.routes if route.via and destination in route.destination]
        if not candidates:
            raise TopologyError(f"node {name} has no route to {destination}.")
        via = max(candidates, key=lambda route: route.destination.prefixlen).via
        assert via is not None
        return via

    def nearest_kernel(self, port: Port) -> IPv4Address:
        """Return an IPv4 address on the segment of `port` that a kernel answers for, preferably the host's.

        If no device of the segment has one, as on a bridge in mode isolated, it is another address of the host. A
        kernel answers for each of its addresses on each of its devices (arp_ignore is 0, networking/ip-sysctl.rst).
        Raises TopologyError when there is none.
        """
        near = list(self._within_reach(port))
        found = [(node, address.ip) for node, device in near for address in device.addresses[:1]]
        found += [(node, own.ip) for node, _ in near for device in node.devices for own in device.addresses]
        answering = [(node.name != self.host, ip) for node, ip in found if isinstance(ip, IPv4Address)]
        if not answering:
            raise TopologyError(f"no kernel has an address on the segment of {port}.")
        return min(answering, key=lambda one: one[0])[1]


class _Segment:
    """The devices that reach each other without a router, by port."""

    def __init__(self, devices: dict[Port, Interface | Bridge]) -> None:
        self.devices = devices

    @cached_property
    def permanent(self) -> dict[int, list[tuple[Port, Address, str]]]:
        """The addresses that other devices of the segment need a permanent entry for, by IP version."""
        found: dict[int, list[tuple[Port, Address, str]]] = {4: [], 6: []}
        for port, device in self.devices.items():
            for address in device.addresses:
                if address.version == 6:
                    found[6].append((port, address.ip, device.mac))
            if isinstance(device, Interface):
                for address in device.scripted:
                    found[address.version].append((port, address.ip, device.endpoint_mac))
        return found


def _check_devices(node: Node, ports: Container[Port]) -> None:
    _unique(f"device of {node.name}", [device.name for device in node.devices])
    bridges = {bridge.name for bridge in node.bridges}
    for device in node.devices:
        if len(device.name) > LONGEST_NAME:
            raise TopologyError(
                f"{node.name}:{device.name} is longer than {LONGEST_NAME} characters, the kernel's limit."
            )
        if not may_be_a_device(device.name):
            raise TopologyError(
                f"{node.name} cannot have an interface named {device.name!r}: the kernel refuses that name.",
                "Use letters, digits, dots, - and _.",
            )
    for interface in node.interfaces:
        if Port(node.name, interface.name) not in ports:
            raise TopologyError(f"{node.name}:{interface.name} is not the end of any link.")
        if interface.master is not None and interface.master not in bridges:
            raise TopologyError(f"{node.name}:{interface.name} is to join {interface.master}, no bridge there.")


def _unique(what: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise TopologyError(f"the {what} {name} is there twice.")
        seen.add(name)
