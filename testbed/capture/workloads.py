"""Networks and containers of a capture as those of a bed's Docker host."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface

from testbed.capture.notes import TwinNote, approximated, contradiction, counted, listed, missing
from testbed.capture.values import (
    CapturedContainer,
    CapturedEndpoint,
    CapturedLink,
    CapturedNamespace,
    CapturedNetwork,
    HostCapture,
)
from testbed.docker import naming
from testbed.docker.host import Attachment, Container, GatewayMode, Network, PublishedPort
from testbed.docker.network import AROUND
from testbed.docker.surroundings import MacvlanContainer
from testbed.topology import AddressWithPrefix

_OPTION = "com.docker.network.bridge."
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_OF_THE_BED = re.compile(r"(client|gateway|lan|peer|guest)-|wan$")
_ON_UPLINKS = ("macvlan", "ipvlan")
_NO_BRIDGE = ("host", "null", "none", "overlay")


@dataclass
class Workloads:
    """The networks and containers of a twin; `stations` are those on an uplink's own segment."""

    capture: HostCapture
    networks: dict[str, Network] = field(default_factory=dict)
    containers: list[Container] = field(default_factory=list)
    stations: list[MacvlanContainer] = field(default_factory=list)
    names: list[tuple[str, str]] = field(default_factory=list)
    notes: list[TwinNote] = field(default_factory=list)
    _nodes: dict[str, str] = field(default_factory=dict)  # by the id of a container

    def __post_init__(self) -> None:
        for network in sorted(self.capture.networks, key=lambda one: one.created):
            self._network(network)

    def build(self, uplinks: frozenset[str], parents: dict[str, str]) -> None:
        """Make the containers; `uplinks` are the twin's, `parents` the uplinks of interfaces below them."""
        stopped = [one.name for one in self.capture.containers if not one.runs]
        if stopped:
            self.notes.append(missing(f"Not in the bed, since they do not run: {listed(stopped)}.", matters=False))
        for container in self.capture.running():
            self._container(container, uplinks, parents)
        for container in self.capture.running():
            self._sharing(container)

    def bridges(self) -> frozenset[str]:
        """Return the names of the bridges of these networks."""
        return frozenset(network.bridge for network in self.networks.values())

    def _network(self, network: CapturedNetwork) -> None:
        if network.driver in _NO_BRIDGE or network.driver in _ON_UPLINKS:
            if network.driver == "overlay":
                text = (
                    f"The network {network.name} (overlay) is not in the bed, nor what is published by Swarm's routing."
                )
                self.notes.append(missing(text, network.line))
            return
        bridge = network.option(f"{_OPTION}name") or f"br-{network.id[:12]}"
        link = self.capture.link(bridge)
        if link is None or link.kind not in ("bridge", ""):
            text = f"The network {network.name} is not in the bed: the host has no bridge {bridge}."
            self.notes.append(missing(text, network.line, matters=False))
            return
        four, six = self._gateway(network, link, 4), self._gateway(network, link, 6)
        if not isinstance(four, IPv4Interface):
            text = f"The network {network.name} is not in the bed: it has no IPv4 subnet."
            self.notes.append(missing(text, network.line))
            return
        self.networks[network.name] = self._made(network, link, four, six)

    def _made(
        self, network: CapturedNetwork, link: CapturedLink, four: IPv4Interface, six: AddressWithPrefix | None
    ) -> Network:
        binding = network.option(f"{_OPTION}host_binding_ipv4", "0.0.0.0")
        trusted = network.option(f"{_OPTION}trusted_host_interfaces")
        return Network(
            link.name,
            four,
            link.mac,
            link.index,
            network.name,
            icc=network.option(f"{_OPTION}enable_icc", "true") != "false",
            masquerade=network.option(f"{_OPTION}enable_ip_masquerade", "true") != "false",
            internal=network.internal,
            mode=_mode(network, 4),
            gateway6=six if isinstance(six, IPv6Interface) else None,
            mode6=_mode(network, 6),
            binding=IPv4Address(binding) if _is_address(binding) and binding != "0.0.0.0" else None,
            trusted=tuple(trusted.split(":")) if trusted else (),
            addressed=any(own.address.version == 4 for own in link.addresses),
        )

    @staticmethod
    def _gateway(network: CapturedNetwork, link: CapturedLink, version: int) -> AddressWithPrefix | None:
        """Return the gateway with its prefix: the bridge's own address in a pool, the pool's gateway, or its first.

        Of a network in mode isolated, whose bridge has no address, it is the subnet's own.
        """
        for subnet, gateway in network.pools:
            if subnet.version != version:
                continue
            own = [one.address for one in link.addresses if one.address.ip in subnet]
            if own:
                return own[0]
            isolated = _mode(network, version) is GatewayMode.ISOLATED
            address = subnet[0] if isolated else gateway if gateway is not None else subnet[1]
            kind = IPv4Interface if version == 4 else IPv6Interface
            return kind(f"{address}/{subnet.prefixlen}")
        return None

    def _container(self, container: CapturedContainer, uplinks: frozenset[str], parents: dict[str, str]) -> None:
        if container.mode == "host":
            self._call(container, "host")
            return
        if container.mode.startswith(("container:", "ns:")):
            return
        inside = self.capture.namespace_of(container)
        node = self._node(container)
        ends = [own for end in container.endpoints if (own := self._attachment(end, inside, node)) is not None]
        on_uplinks = [end for end in container.endpoints if self._driver(end.network) in _ON_UPLINKS]
        if ends:
            ends = _in_order(ends, inside)
            self._attached(container, node, ends, inside)
        elif on_uplinks:
            self._station(container, node, on_uplinks[0], uplinks, parents)
        elif container.endpoints and container.mode != "none":
            names = listed([end.network for end in container.endpoints])
            self.notes.append(missing(f"{container.name} is not in the bed, as {names} is not.", container.line))
        if ends and on_uplinks:
            text = f"{container.name} is on {on_uplinks[0].network} too, an uplink's own segment, and not in the bed"
            self.notes.append(missing(f"{text}.", container.line))

    def _driver(self, network: str) -> str:
        return next((own.driver for own in self.capture.networks if own.name == network), "")

    def _attachment(self, end: CapturedEndpoint, inside: CapturedNamespace | None, node: str) -> Attachment | None:
        network = self.networks.get(end.network)
        four = next((own.ip for own in end.addresses if isinstance(own, IPv4Interface)), None)
        if network is None or not isinstance(four, IPv4Address):
            return None
        six = next((own.ip for own in end.addresses if isinstance(own, IPv6Interface)), None)
        link = _end(inside, four)
        peer = self._peer(link, network)
        name = f"{node} on {network.name}"
        return Attachment(
            network,
            four,
            end.mac or (link.mac if link is not None else "") or naming.mac(four),
            peer.name if peer is not None else naming.veth(name),
            peer.mac if peer is not None else naming.veth_mac(name),
            link.index if link is not None else None,
            peer.index if peer is not None else None,
            six if isinstance(six, IPv6Address) else None,
        )

    def _peer(self, link: CapturedLink | None, network: Network) -> CapturedLink | None:
        """Return the host's end of a container's interface."""
        if link is None or link.peer is None:
            return None
        found = [one for one in self.capture.links if one.index == link.peer and one.master == network.bridge]
        return found[0] if found else None

    def _attached(
        self, container: CapturedContainer, node: str, ends: list[Attachment], inside: CapturedNamespace | None
    ) -> None:
        first, *others = ends
        published = tuple(port for port in container.bound if port.protocol in ("tcp", "udp", "sctp"))
        self.containers.append(
            Container(
                node,
                first.network,
                first.address,
                first.mac,
                first.veth,
                first.veth_mac,
                published,
                first.index,
                first.veth_index,
                first.address6,
                tuple(others),
                first.gateway_priority,
            )
        )
        self._nodes[container.id] = node
        self._call(container, node)
        self._say_silent(container, published, inside)

    def _say_silent(
        self, container: CapturedContainer, published: tuple[PublishedPort, ...], inside: CapturedNamespace | None
    ) -> None:
        if inside is None:
            text = f"What listens in {container.name} was not captured."
            self.notes.append(missing(text, container.line, matters=False))
            return
        waiting = {
            (own.protocol, own.port) for own in inside.listeners if own.address is None or not own.address.is_loopback
        }
        silent = [
            port for port in published if port.protocol != "sctp" and (port.protocol, port.container) not in waiting
        ]
        if silent:
            shown = listed([str(port) for port in silent])
            text = f"{container.name} publishes {shown}, and nothing listens there in the container."
            self.notes.append(contradiction(text, container.line))

    def _station(
        self,
        container: CapturedContainer,
        node: str,
        end: CapturedEndpoint,
        uplinks: frozenset[str],
        parents: dict[str, str],
    ) -> None:
        network = next(own for own in self.capture.networks if own.name == end.network)
        parent = network.option("parent")
        uplink = parent if parent in uplinks else parents.get(parent, "")
        if not uplink or not end.addresses:
            text = f"{container.name} is not in the bed: its network {network.name} is on {parent or 'no interface'}."
            self.notes.append(missing(text, container.line))
            return
        mac = end.mac or naming.veth_mac(f"station {node}")
        self.stations.append(MacvlanContainer(node, mac, end.addresses, uplink, network.driver))
        self._nodes[container.id] = node
        self._call(container, node)

    def _sharing(self, container: CapturedContainer) -> None:
        """Name the node of a container that has another's network."""
        _, colon, other = container.mode.partition(":")
        if not colon or not container.mode.startswith(("container:", "ns:")):
            return
        owner = next((one for one in self.capture.containers if other and other in (one.id, one.name)), None)
        owner = owner or next(
            (
                one
                for one in self.capture.containers
                if one.namespace and one.namespace == container.namespace and one.id in self._nodes
            ),
            None,
        )
        if owner is None or owner.id not in self._nodes:
            text = f"{container.name} has another container's network ({container.mode}), which is not in the bed."
            self.notes.append(missing(text, container.line, matters=False))
            return
        self._call(container, self._nodes[owner.id])

    def _node(self, container: CapturedContainer) -> str:
        """Return the name of a container's node: its own, unless a node of every bed has that name."""
        taken = {*AROUND, *(one.name for one in self.containers), *(one.name for one in self.stations)}
        name = container.name
        if not _NODE.fullmatch(name) or name in taken or _OF_THE_BED.match(name):
            name = f"container-{re.sub('[^A-Za-z0-9_.-]', '-', name)}"
            name = name if name not in taken else f"{name}-{container.id[:12]}"
            text = f"{container.name} is the node {name} here."
            self.notes.append(approximated(text, container.line, matters=False))
        return name

    def _call(self, container: CapturedContainer, node: str) -> None:
        names = [container.name, container.service]
        if container.project and container.service:
            names.append(f"{container.project}_{container.service}")
        own = {name for name, _ in self.names}
        self.names += [(name, node) for name in dict.fromkeys(names) if name and name != node and name not in own]

    def said(self) -> str:
        """Return a phrase on what there is."""
        return f"{counted(len(self.networks), 'network')} with {counted(len(self.containers), 'container')}"


def _mode(network: CapturedNetwork, version: int) -> GatewayMode:
    wanted = network.option(f"{_OPTION}gateway_mode_ipv{version}", "nat")
    known = {mode.value: mode for mode in GatewayMode}
    mode = known.get(wanted, GatewayMode.NAT)
    return mode if mode is not GatewayMode.ISOLATED or network.internal else GatewayMode.NAT


def _is_address(text: str) -> bool:
    return bool(re.fullmatch(r"\d+\.\d+\.\d+\.\d+", text)) and IPv4Network("0.0.0.0/0").supernet_of(
        IPv4Network(f"{text}/32")
    )


def _end(inside: CapturedNamespace | None, address: IPv4Address) -> CapturedLink | None:
    """Return the interface of a container that has an address."""
    links = inside.links if inside is not None else ()
    return next((link for link in links if any(own.address.ip == address for own in link.addresses)), None)


def _in_order(ends: list[Attachment], inside: CapturedNamespace | None) -> list[Attachment]:
    """Return the connections in the order of their interfaces, that of the captured default route preferred."""
    names = {own.address: link.name for own in ends if (link := _end(inside, own.address)) is not None}
    routes = inside.routes if inside is not None else ()
    default = next((r.device for r in routes if not r.destination.prefixlen and r.destination.version == 4), "")
    ordered = sorted(ends, key=lambda own: names.get(own.address, ""))
    if not default or len(ends) == 1:
        return ordered
    return [replace(own, gateway_priority=int(names.get(own.address) == default)) for own in ordered]
