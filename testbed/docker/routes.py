"""The routes of a Docker host: those that its surroundings list, and those that follow from gateways and tunnels."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from testbed.docker.beside import default_route
from testbed.docker.lan import Around
from testbed.docker.surroundings import Surroundings, Tunnel
from testbed.topology import MAIN_TABLE, Prefix, Route

_METRIC_STEP = 100  # between the default routes of several gateways


def host_routes(surroundings: Surroundings, around: Around, six: bool) -> tuple[Route, ...]:
    """Return the host's routes beside those of its own subnets; `six`: those of IPv6 too."""
    listed = surroundings.routes
    if surroundings.routes_complete:
        return tuple(route for route in listed if six or route.destination.version == 4)
    found = [*_to_peers(surroundings)]
    found += [route for route in _defaults(around) if not _has_default(listed, route.destination)]
    known = {route.destination for route in listed if route.table == MAIN_TABLE}
    found += [route for tunnel in surroundings.tunnels for route in _by(tunnel) if route.destination not in known]
    return tuple(route for route in (*found, *listed) if six or route.destination.version == 4)


def _has_default(routes: tuple[Route, ...], destination: Prefix) -> bool:
    return any(route.destination == destination and route.table == MAIN_TABLE for route in routes)


def _defaults(around: Around) -> Iterator[Route]:
    """A default route by each gateway; the first one of each IP version counts."""
    known = {4: 0, 6: 0}
    for lan in around.lans:
        for gateway in lan.uplink.gateways:
            metric = known[gateway.version] * _METRIC_STEP
            yield default_route(gateway, lan.uplink.addresses, lan.uplink.name, metric)
            known[gateway.version] += 1


def _to_peers(surroundings: Surroundings) -> Iterator[Route]:
    """A route to each peer that is in no subnet of its tunnel."""
    for tunnel in surroundings.tunnels:
        for peer in tunnel.peer:
            if not any(peer.ip in own.network for own in tunnel.addresses):
                yield Route(ip_network(peer.ip), device=tunnel.name)


def _by(tunnel: Tunnel) -> Iterator[Route]:
    """A route to each network behind a tunnel; next to it is the peer, as a bed's tunnels have neighbours."""
    for network in tunnel.networks:
        peer = next((own.ip for own in tunnel.peer if own.version == network.version), None)
        yield Route(network, peer, tunnel.name)
