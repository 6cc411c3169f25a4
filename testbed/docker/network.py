"""The topology of a Docker host: its devices and containers, and the networks beside it (lan.py)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv6Interface, ip_network

from testbed.docker.beside import interfaces, links, nodes, own_bridges
from testbed.docker.host import Attachment, Container, DockerHost, GatewayMode
from testbed.docker.lan import EVERYWHERE, EVERYWHERE6, Around, around
from testbed.docker.routes import host_routes
from testbed.docker.surroundings import Surroundings
from testbed.docker.sysctls import HOST_SYSCTLS, NO_IPV6, ONE_ANSWER, PLAIN, ROUTER6, of_ipv6
from testbed.errors import TopologyError
from testbed.topology import (
    AddressWithPrefix,
    Bridge,
    Interface,
    Link,
    Node,
    Port,
    Prefix,
    Route,
    RouteKind,
    Topology,
)

MOST_CONTAINERS = 1000
AROUND = ("client", "gateway", "internet", "lan", "host")  # the nodes of every bed


def topology(docker: DockerHost, scripted: bool = True) -> Topology:
    """Return the host in its network; `scripted`: no kernel answers for clients, internet, containers and the like.

    With kernels a script can still hold both ends of a connection: it asks from an address and a MAC of its own, and
    the containers' kernels discard what comes from there, because a strict reverse-path filter finds no way back (a
    blackhole route), before any socket sees it (fib_validate_source, net/ipv4/fib_frontend.c).
    """
    if len(docker.containers) > MOST_CONTAINERS:
        raise TopologyError(
            f"the host has {len(docker.containers)} containers, and a bed up to {MOST_CONTAINERS}.",
            "Leave some out; `invoke rules` writes the rules for any number.",
        )
    _require_own_addresses(docker)
    around, six = docker.around, docker.ipv6
    containers = [_container(container, around, scripted) for container in docker.containers]
    plugged = (
        Link(Port(container.name, f"eth{number}"), Port("host", own.veth))
        for container in docker.containers
        for number, own in enumerate(container.attachments)
    )
    beside = *nodes(docker.surroundings, around, six, scripted), _host(docker, around)
    return Topology((*beside, *containers), (*links(docker.surroundings, around), *plugged))


def around_bare_host(host: Node, surroundings: Surroundings, six: bool) -> Topology:
    """Return the same network around a host that has nothing but its uplinks; all ends are scripted."""
    outside = around(surroundings, six)
    return Topology((*nodes(surroundings, outside, six, True), host), tuple(links(surroundings, outside)))


def refuse_subnet_of_bed(subnet: Prefix, surroundings: Surroundings) -> None:
    """Raise TopologyError for a subnet that overlaps one of the networks around the host."""
    for name, own in surroundings.networks():
        if own.version == subnet.version and own.overlaps(subnet):
            beside = "the LAN" if name in (uplink.name for uplink in surroundings.uplinks) else "the network"
            raise TopologyError(
                f"the subnet {subnet} overlaps that of {beside} at {name}, {own}.", "Choose another subnet."
            )


def _require_own_addresses(docker: DockerHost) -> None:
    for network in docker.networks:
        for subnet in (network.subnet, network.subnet6):
            if subnet is not None:
                refuse_subnet_of_bed(subnet, docker.surroundings)
    own = docker.own_addresses()
    for network in docker.networks:
        for address in (network.snat, network.snat6):
            if address is not None and address not in own:
                raise TopologyError(
                    f"{network.bridge} goes out under {address}, but the host has no such address.",
                    f"It has {', '.join(map(str, own))}.",
                )
    for container, port in docker.published():
        if not (port.everywhere or port.on_loopback or port.address in own):
            raise TopologyError(
                f"{container.name} publishes {port}, but the host has no address {port.address}.",
                f"It has {', '.join(map(str, own))}, and its loopback.",
            )


def _host(docker: DockerHost, around: Around) -> Node:
    six, surroundings = docker.ipv6, docker.surroundings
    hairpin = not docker.userland_proxy
    veths = (
        Interface(
            own.veth,
            own.veth_mac,
            (),
            index=own.veth_index,
            master=own.network.bridge,
            hairpin=hairpin,
            mtu=own.network.mtu,
        )
        for container in docker.containers
        for own in container.attachments
    )
    bridges = (Bridge(n.bridge, n.mac, n.bridge_addresses, n.index, n.mtu) for n in docker.networks)
    return Node(
        "host",
        (*interfaces(surroundings, around, six), *veths),
        (*own_bridges(surroundings, around, six), *bridges),
        host_routes(surroundings, around, six),
        (*of_ipv6(six), *HOST_SYSCTLS, *_forwarding(docker), *(ONE_ANSWER if surroundings.listeners else ())),
        (*_of_bridges(docker), *surroundings.sysctls),
        tuple(rule for rule in surroundings.routing_rules if six or rule.version == 4),
        tuple(entry for entry in surroundings.neighbours if six or entry.address.version == 4),
        surroundings.listeners,
    )


def _forwarding(docker: DockerHost) -> tuple[tuple[str, str], ...]:
    """What is left of forwarding where the engine does not switch it on: none, as Linux has it."""
    if docker.forwarding:
        return ROUTER6 if docker.ipv6 else ()
    return (("net.ipv4.ip_forward", "0"),)


def _of_bridges(docker: DockerHost) -> Iterator[tuple[str, str]]:
    """The sysctls of its bridges that an engine sets."""
    for network in docker.networks:
        if not docker.userland_proxy:
            yield f"net.ipv4.conf.{network.bridge}.route_localnet", "1"
        if network.gateway6 is not None and network.mode6 is GatewayMode.ISOLATED:
            yield f"net.ipv6.conf.{network.bridge}.disable_ipv6", "1"  # as seen with 28.5.2


def _container(container: Container, around: Around, scripted: bool) -> Node:
    six = any(own.address6 is not None for own in container.attachments)
    ends = tuple(_end(number, own, scripted) for number, own in enumerate(container.attachments))
    routes = tuple(_default_routes(container))
    if scripted:
        return Node(container.name, ends, routes=routes, sysctls=(*NO_IPV6, *PLAIN))
    strangers = (own.ip for lan in around.lans for own in lan.scripted if six or own.version == 4)
    nowhere = (Route(ip_network(address), kind=RouteKind.BLACKHOLE) for address in strangers)
    strict = ("net.ipv4.conf.all.rp_filter", "1")
    return Node(container.name, ends, routes=(*routes, *nowhere), sysctls=(*of_ipv6(six), strict))


def _default_routes(container: Container) -> Iterator[Route]:
    gateway, gateway6 = container.default_route, container.gateway6 or container.default_route
    if gateway is not None:
        yield Route(EVERYWHERE, gateway.network.gateway.ip)
    if gateway6 is not None and gateway6.network.gateway6 is not None:
        yield Route(EVERYWHERE6, gateway6.network.gateway6.ip)


def _end(number: int, own: Attachment, scripted: bool) -> Interface:
    network = own.network
    addresses: list[AddressWithPrefix] = [IPv4Interface(f"{own.address}/{network.subnet.prefixlen}")]
    if network.subnet6 is not None:
        addresses.append(IPv6Interface(f"{own.address6}/{network.subnet6.prefixlen}"))
    kernels, scripts = ((), tuple(addresses)) if scripted else (tuple(addresses), ())
    return Interface(f"eth{number}", own.mac, kernels, scripts, index=own.index, mtu=network.mtu)
