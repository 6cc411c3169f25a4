"""Ports of the host as containers get them: those asked for, or those that the engine chooses."""

from __future__ import annotations

from testbed.docker.compose.services import ServiceRequest
from testbed.docker.host import PublishedPort
from testbed.docker.ports import PortRequest
from testbed.docker.tree import Tree
from testbed.errors import TopologyError

_EPHEMERAL = range(32768, 61000)  # net.ipv4.ip_local_port_range of every bed


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
