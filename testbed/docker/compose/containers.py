"""The containers of a host as an engine starts them: order, names, addresses, published ports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from testbed.docker import naming
from testbed.docker.compose.addresses import Networks
from testbed.docker.compose.published import Ports
from testbed.docker.compose.services import CONTAINER, HOST, NONE, SERVICE, EndpointRequest, ServiceRequest
from testbed.docker.compose.start_order import in_start_order
from testbed.docker.compose.stations import Stations
from testbed.docker.host import Attachment, Container, VersionRequirement
from testbed.docker.network import AROUND
from testbed.docker.problems import Problems
from testbed.errors import TopologyError
from testbed.topology import Listener

_GATEWAY_PRIORITY = (28, 0)  # the first version that knows it


class Containers:
    """Containers made service by service, with all names by which they are known."""

    def __init__(self, project: str, networks: Networks, services: list[ServiceRequest], problems: Problems) -> None:
        self._project = project
        self._networks = networks
        self._services = {service.name: service for service in services}
        self._problems = problems
        self._ports = Ports(services)
        self._stations = Stations(networks)
        self._nodes: dict[str, list[str]] = {}  # of each service
        self._taken: set[str] = set(AROUND)
        self._docker_names: set[str] = set()
        self._refused: set[str] = set()  # services whose network is refused
        self.made: list[Container] = []
        self._listeners: dict[Listener, ServiceRequest] = {}  # of services in the host's own network
        self.names: list[tuple[str, str]] = []
        self.remarks: list[str] = []
        self.requirements: list[VersionRequirement] = []
        for service in in_start_order(services, problems):
            with problems.collected():
                self._make(service)
        self.remarks += [*self._stations.remarks, *self._ports.remarks]
        self.stations = self._stations.made

    def _make(self, service: ServiceRequest) -> None:
        self.remarks += service.remarks
        self._nodes[service.name] = []
        if any(endpoint.network in self._networks.refused for endpoint in service.endpoints):
            self._refused.add(service.name)
            return
        service = self._stations.in_its_mode(service)
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
        service = self._stations.without_lan(service)
        for number in range(1, service.replicas + 1):
            name = self._docker_name(service, number)
            node = self._node(service, number, name)
            with service.tree.blamed():
                if service.on_bridges:
                    self.made.append(self._container(service, node))
                elif not self._stations.place(service, node):
                    continue
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
        shared = service.mode.partition(":")[2]
        if service.mode.startswith(SERVICE) and shared in self._stations.absent:
            self._stations.absent.add(service.name)
            self.remarks.append(f"{service.name} shares the network of {shared}, and is not in the bed either.")
            return
        names = (service.name, service.container_name or f"{self._project}-{service.name}-1")
        if service.mode == NONE:
            self.remarks.append(f"{service.name} has no network (network_mode: none), and is not in the bed.")
            return
        if service.mode == HOST:
            node = HOST
            self._listen(service)
        else:
            node = self._shared(service)
        self._nodes[service.name] = [node]
        self._call(node, *names)

    def _listen(self, service: ServiceRequest) -> None:
        """Open the ports that a service in the host's network names; SCTP has no listeners in a bed."""
        asked = [*((port.container, port.protocol) for port, _ in service.ports), *service.exposed]
        opened = {(port, protocol): Listener(protocol, port) for port, protocol in asked if protocol in ("tcp", "udp")}
        self._listeners |= dict.fromkeys(opened.values(), service)
        on = ", ".join(f"{port}/{protocol}" for port, protocol in opened) or "ports that the file does not name"
        self.remarks.append(
            f"{service.name} has the host's own network (network_mode: host): it listens on the host, on {on}."
        )

    def listeners(self) -> Iterator[Listener]:
        """Yield the sockets of services in the host's network, but for ports that containers publish."""
        published = {(port.host, port.protocol): one.name for one in self.made for port in one.published}
        for listener, service in self._listeners.items():
            if name := published.get((listener.port, listener.protocol)):
                where = f"{listener.port}/{listener.protocol}"
                self.remarks.append(f"{name} publishes port {where}, so {service.name} does not listen there.")
            else:
                yield listener

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
            outward=self._stations.leaves_outward(service),
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
