"""The containers of a host as an engine starts them: order, names, addresses, published ports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from testbed.docker import naming
from testbed.docker.compose.addresses import Networks
from testbed.docker.compose.services import CONTAINER, HOST, NONE, SERVICE, EndpointRequest, ServiceRequest
from testbed.docker.host import Attachment, Container, PublishedPort, VersionRequirement
from testbed.docker.network import AROUND
from testbed.docker.ports import PortRequest
from testbed.docker.problems import Problems
from testbed.docker.tree import Tree
from testbed.errors import TopologyError

_GATEWAY_PRIORITY = (28, 0)  # the first version that knows it
_EPHEMERAL = range(32768, 61000)  # net.ipv4.ip_local_port_range of every bed


class Containers:
    """Containers made service by service, with all names by which they are known."""

    def __init__(self, project: str, networks: Networks, services: list[ServiceRequest], problems: Problems) -> None:
        self._project = project
        self._networks = networks
        self._services = {service.name: service for service in services}
        self._problems = problems
        self._ports = Ports(services)
        self._nodes: dict[str, list[str]] = {}  # of each service
        self._taken: set[str] = set(AROUND)
        self._docker_names: set[str] = set()
        self._refused: set[str] = set()  # services whose network is refused
        self.made: list[Container] = []
        self.names: list[tuple[str, str]] = []
        self.remarks: list[str] = []
        self.requirements: list[VersionRequirement] = []
        for service in in_start_order(services, problems):
            with problems.collected():
                self._make(service)
        self.remarks += self._ports.remarks

    def _make(self, service: ServiceRequest) -> None:
        self.remarks += service.remarks
        self._nodes[service.name] = []
        if service.mode in (HOST, NONE) or service.mode.startswith((SERVICE, CONTAINER)):
            self._without_network(service)
            return
        if not service.endpoints:
            if service.mode:
                raise service.tree.child("network_mode").error(
                    f"the network mode {service.mode} is not known.",
                    "It is bridge, host, none, service:NAME or container:NAME.",
                )
            return
        if any(endpoint.network in self._networks.refused for endpoint in service.endpoints):
            self._refused.add(service.name)
            return
        for number in range(1, service.replicas + 1):
            name = self._docker_name(service, number)
            node = self._node(service, number, name)
            with service.tree.blamed():
                container = self._container(service, node)
            self.made.append(container)
            self._nodes[service.name].append(node)
            self._known(service, name, node)
        if service.name in AROUND and self._nodes[service.name]:
            node = self._nodes[service.name][0]
            self.remarks.append(f"{service.name} is a node of every bed; the service of that name is {node} here.")

    def _docker_name(self, service: ServiceRequest, number: int) -> str:
        name = service.container_name or f"{self._project}-{service.name}-{number}"
        if name in self._docker_names:
            raise service.tree.error(f"the container {name} is there twice.", "Give one another `container_name`.")
        self._docker_names.add(name)
        return name

    def _node(self, service: ServiceRequest, number: int, name: str) -> str:
        """What a container is called in the bed: as its service where that is unambiguous, else as the engine does."""
        short = f"{service.name}-{number}"
        wishes = [service.name] if service.replicas == 1 else [short]
        others = self._services.keys() - {service.name}
        for wish in (*wishes, short, name):
            if wish not in self._taken and wish not in others:
                self._taken.add(wish)
                return wish
        raise service.tree.error(f"the name {name} is taken in this bed.", "Rename the service.")

    def _known(self, service: ServiceRequest, name: str, node: str) -> None:
        names = [name, *(alias for endpoint in service.endpoints for alias in endpoint.aliases)]
        if node == self._nodes[service.name][0]:
            names.append(service.name)
        names.append(f"{service.name}-{len(self._nodes[service.name])}")
        self._call(node, *names)

    def _call(self, node: str, *names: str) -> None:
        """Note other names of a node; those of the bed's own nodes stay theirs."""
        self.names += [(name, node) for name in dict.fromkeys(names) if name not in (node, *AROUND)]

    def _without_network(self, service: ServiceRequest) -> None:
        if service.ports and service.mode.startswith((SERVICE, CONTAINER)):
            raise service.tree.child("ports").error(
                f"{service.name} has no ports of its own in network_mode {service.mode}.", "Publish them there."
            )
        names = (service.name, service.container_name or f"{self._project}-{service.name}-1")
        if service.mode == NONE:
            self.remarks.append(f"{service.name} has no network (network_mode: none), and is not in the bed.")
            return
        if service.mode == HOST:
            node = HOST
            self.remarks.append(
                f"{service.name} has the host's own network (network_mode: host): it listens on the host."
            )
        else:
            node = self._shared(service)
        self._nodes[service.name] = [node]
        self._call(node, *names)

    def _shared(self, service: ServiceRequest) -> str:
        """The node in whose namespace a service runs."""
        entry = service.tree.child("network_mode")
        kind, _, other = service.mode.partition(":")
        if kind == "service":
            nodes = self._nodes.get(other, [])
        else:
            nodes = [node for known, node in self.names if known == other and other in self._docker_names]
            nodes += [container.name for container in self.made if container.name == other in self._docker_names]
        if nodes:
            return nodes[0]
        if other in self._refused:
            return other
        if other in self._services:
            raise entry.error(f"the {kind} {other} has no network to share.", "Choose another one.")
        raise entry.error(f"there is no {kind} {other} in this file.", "Describe it here, or choose another mode.")

    def _container(self, service: ServiceRequest, node: str) -> Container:
        first, *also = self._attachments(service, node)
        container = Container(
            node,
            first.network,
            first.address,
            first.mac,
            first.veth,
            first.veth_mac,
            address6=first.address6,
            also=tuple(also),
            gateway_priority=first.gateway_priority,
        )
        gateway = container.gateway
        binding = gateway.network.binding if gateway is not None else None
        published = []
        for port, item in service.ports:
            with self._problems.collected():
                request = port if port.address is not None else replace(port, address=binding)
                published.append(self._ports.publish(node, request, item))
        return replace(container, published=tuple(published))

    def _attachments(self, service: ServiceRequest, node: str) -> Iterator[Attachment]:
        bridges: set[str] = set()
        for number, endpoint in enumerate(service.endpoints):
            network = self._networks.network(endpoint.network)
            if network.bridge in bridges:
                raise TopologyError(f"the network of {node}, {network.bridge} is there twice.")
            bridges.add(network.bridge)
            end = f"{node}:eth{number}" if number else node
            yield self._attachment(endpoint, end)

    def _attachment(self, endpoint: EndpointRequest, end: str) -> Attachment:
        network = self._networks.network(endpoint.network)
        if endpoint.gateway_priority:
            what = f"gw_priority of {end} on {network.name}"
            self.requirements.append(VersionRequirement(what, _GATEWAY_PRIORITY, endpoint.tree.place))
        address = self._networks.addresses[network.bridge].chosen(endpoint.tree, "ipv4_address", endpoint.address)
        address6 = None
        if network.subnet6 is not None:
            free6 = self._networks.addresses6[network.bridge]
            address6 = free6.chosen(endpoint.tree, "ipv6_address", endpoint.address6)
        elif endpoint.address6 is not None:
            raise endpoint.tree.child("ipv6_address").error(
                f"the network {network.name} has no IPv6.", "Give it `enable_ipv6: true`."
            )
        return Attachment(
            network,
            address,
            endpoint.mac or naming.mac(address),
            naming.veth(end),
            naming.veth_mac(end),
            address6=address6,
            gateway_priority=endpoint.gateway_priority,
        )


class Ports:
    """The ports of the host that are given out so far."""

    def __init__(self, services: list[ServiceRequest]) -> None:
        self._given: dict[tuple[int, str], list[tuple[str, PublishedPort]]] = {}
        self._asked = {
            (port.hosts[0], port.protocol) for service in services for port, _ in service.ports if len(port.hosts) == 1
        }
        self.remarks: list[str] = []

    def publish(self, name: str, request: PortRequest, tree: Tree) -> PublishedPort:
        """Return the port that a container gets; TopologyError, with the line, for one that is taken."""
        with tree.blamed():
            if len(request.hosts) == 1:
                wanted = request.on(request.hosts[0])
                self._refuse_taken(name, wanted)
            else:
                wanted = self._chosen(name, request)
        self._given.setdefault((wanted.host, wanted.protocol), []).append((name, wanted))
        return wanted

    def _chosen(self, name: str, request: PortRequest) -> PublishedPort:
        """The first port that is free, of a range or of those that the engine may choose."""
        for number in request.hosts or _EPHEMERAL:
            wanted = request.on(number)
            if (number, request.protocol) not in self._asked and self._other(wanted) is None:
                self.remarks.append(f"{name}: the engine chooses the host's port for {wanted}.")
                return wanted
        raise TopologyError(f"no port of {request.hosts or _EPHEMERAL} is free any more.", "Choose other ports.")

    def _refuse_taken(self, name: str, port: PublishedPort) -> None:
        other = self._other(port)
        if other is not None:
            raise TopologyError(f"port {port.host}/{port.protocol} is published by {other} and by {name}.")

    def _other(self, port: PublishedPort) -> str | None:
        """The container that has a port already with which this one collides."""
        given = self._given.get((port.host, port.protocol), [])
        return next((name for name, other in given if port.collides_with(other)), None)


def in_start_order(services: list[ServiceRequest], problems: Problems) -> list[ServiceRequest]:
    """Return services behind those that they need, and as they stand in the file otherwise."""
    known = {service.name: service for service in services}
    done: dict[str, ServiceRequest] = {}
    for service in services:
        with problems.collected():
            _start(service, known, done)
    return list(done.values())


def _start(service: ServiceRequest, known: dict[str, ServiceRequest], done: dict[str, ServiceRequest]) -> None:
    """Start what a service needs, then itself, without recursion: chains may be long."""
    waiting: dict[str, Iterator[str]] = {service.name: iter(service.needs)}
    while waiting:
        name = next(reversed(waiting))
        other = next((need for need in waiting[name] if need not in done), None)
        if other is None:
            done[name] = known[name]
            del waiting[name]
        elif other in waiting:
            raise known[name].tree.error(f"{name} and {other} wait for each other.", "Remove one dependency.")
        elif other not in known:
            raise known[name].tree.error(
                f"{name} needs the service {other}, which is not there.", "Add it, or switch on its profile."
            )
        else:
            waiting[other] = iter(known[other].needs)
