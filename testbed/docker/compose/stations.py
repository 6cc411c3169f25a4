"""Services on networks of the LAN (macvlan, ipvlan), on the engine's networks host and none, and beside bridges."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface

from testbed.docker import naming
from testbed.docker.compose.addresses import Networks
from testbed.docker.compose.networks import HOST, NONE
from testbed.docker.compose.services import EndpointRequest, ServiceRequest
from testbed.docker.host import outward_order
from testbed.docker.surroundings import MacvlanContainer


class Stations:
    """The containers that stand in the LAN, and what is to be said of connections that a bed does not have."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._elsewhere: dict[str, bool] = {}  # by service: whether its default route is by the LAN
        self.made: list[MacvlanContainer] = []
        self.absent: set[str] = set()  # services that are not in the bed
        self.remarks: list[str] = []

    def in_its_mode(self, service: ServiceRequest) -> ServiceRequest:
        """A service on the engine's own network host or none is in that mode."""
        for endpoint in service.endpoints:
            request = self._networks.requests.get(endpoint.network)
            if request is not None and request.driver in (HOST, NONE):
                if len(service.endpoints) > 1:
                    raise endpoint.tree.error(f"a service is on {request.name}, or on other networks.", "Remove one.")
                return replace(service, mode=request.driver, endpoints=())
        return service

    def without_lan(self, service: ServiceRequest) -> ServiceRequest:
        """Take a service off networks of the LAN where it is on bridges too: a bed has those of bridges alone."""
        bridges, stations = self._divided(service)
        if not bridges or not stations:
            return replace(service, on_bridges=bool(bridges))
        names = ", ".join(self._networks.stations[one.network].request.name for one in stations)
        self._elsewhere[service.name] = not self._by_bridge(bridges, stations)
        also = ", and with it its default route and its published ports" if self._elsewhere[service.name] else ""
        self.remarks.append(
            f"{service.name} is on {names}, a network of the LAN: no rule of this host meets its packets there, and"
            f" that connection is not in the bed{also}."
        )
        return replace(service, endpoints=tuple(bridges))

    def leaves_outward(self, service: ServiceRequest) -> bool:
        """Whether a service's default route is by a bridge of the host, so that its ports are published."""
        return not self._elsewhere.get(service.name, False)

    def place(self, service: ServiceRequest, node: str) -> bool:
        """Put a container in the LAN; False where no uplink of the host is in its subnet."""
        first, *further = service.endpoints
        network = self._networks.stations[first.network]
        address = network.addresses.chosen(first.tree, "ipv4_address", first.address)
        name = network.request.name
        uplink = network.uplink
        subnet = uplink.address(4) if uplink is not None else None
        if further or uplink is None or subnet is None:
            self.absent.add(service.name)
            self.remarks.append(
                f"{node} is on {name}, which is no network of this host's uplinks: no rule of this host meets its"
                " packets, and it is not in the bed."
            )
            return False
        own = IPv4Interface(f"{address}/{subnet.network.prefixlen}")
        mac = first.mac or naming.mac(address)
        others = "" if not self.made else " In the bed it and other such containers do not reach each other, either."
        self.made.append(MacvlanContainer(node, mac, (own,), uplink.name, network.request.driver))
        self.remarks.append(
            f"{node} is in the LAN itself, beside {uplink.name} ({network.request.driver}): no rule of this host meets"
            f" its packets, and it and the host do not reach each other.{others}"
        )
        return True

    def _divided(self, service: ServiceRequest) -> tuple[list[EndpointRequest], list[EndpointRequest]]:
        """The connections with bridges, and those with networks of the LAN."""
        stations = [one for one in service.endpoints if one.network in self._networks.stations]
        return [one for one in service.endpoints if one not in stations], stations

    def _by_bridge(self, bridges: list[EndpointRequest], stations: list[EndpointRequest]) -> bool:
        """Whether a bridge has the default route: the same order as among bridges."""
        outward = []
        for endpoint in bridges:
            network = self._networks.network(endpoint.network)
            if not network.internal:
                six = network.gateway6 is not None
                outward.append((outward_order(endpoint.gateway_priority, six, network.name), True))
        for endpoint in stations:
            request = self._networks.stations[endpoint.network].request
            if not request.internal:
                outward.append((outward_order(endpoint.gateway_priority, request.ipv6, request.name), False))
        return min(outward, default=((0, 0, ""), True))[1]
