"""The nodes beside a host and their links: clients, gateways, switches, the internet, peers, guests, stations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_interface, ip_network

from testbed.docker.lan import EVERYWHERE, EVERYWHERE6, Around, Lan
from testbed.docker.surroundings import Machine, MacvlanContainer, Surroundings, Tunnel, UplinkKind
from testbed.docker.sysctls import NO_IPV6, PLAIN, ROUTER, ROUTER6, SWITCH, of_ipv6
from testbed.topology import (
    Address,
    AddressWithPrefix,
    Bridge,
    Interface,
    Link,
    Neighbour,
    Node,
    Port,
    Prefix,
    Route,
    node_name,
)

_WAN = "wan"  # the switch between several gateways and the internet
_INTERNET_MAC = "00:00:5e:00:53:0a"  # for documentation, as those of the switches (RFC 7042)
_FIRST_PORT = 0xF1


def nodes(surroundings: Surroundings, around: Around, six: bool, scripted: bool) -> Iterator[Node]:
    """Yield every node beside the host; `scripted`: no kernel answers for those that send and receive."""
    for number, lan in enumerate(around.lans):
        yield _client(lan, number, scripted, six)
        yield _gateway(lan, number, six, _behind(surroundings, lan))
    yield _internet(around, scripted, six)
    for number, lan in enumerate(around.lans):
        yield _switch(lan, number, _stations(surroundings, lan), _plugged(surroundings, lan))
    if len(around.lans) > 1:
        yield _wan(around)
    for tunnel in surroundings.tunnels:
        yield _machine(peer_name(tunnel), tunnel.peer_mac, tunnel.peer, tunnel.addresses, scripted, six)
    for bridge in surroundings.bridges:
        for guest in bridge.guests:
            yield _machine(guest.name, guest.mac, guest.addresses, bridge.addresses, scripted, six)
    for lan in around.lans:
        for station in _stations(surroundings, lan):
            yield _machine(station.name, station.mac, station.addresses, lan.gateway, scripted, six)
        for machine in _machines(surroundings, lan):
            own = _addresses(machine, lan)
            yield _machine(machine.name, machine.mac, own, lan.gateway, scripted, six)


def links(surroundings: Surroundings, around: Around) -> Iterator[Link]:
    """Yield the links of these nodes, and those of the host to them."""
    for lan in around.lans:
        client, switch, gateway = (lan.named(node) for node in ("client", "lan", "gateway"))
        yield Link(Port(client, "eth0"), Port(switch, "client"))
        yield Link(Port(gateway, "eth0"), Port(switch, "gateway"))
        yield Link(Port("host", device_of(lan)), Port(switch, "host"))
    yield from _to_the_internet(around)
    for tunnel in surroundings.tunnels:
        yield Link(Port(peer_name(tunnel), "eth0"), Port("host", tunnel.name))
    for guest in surroundings.guests():
        yield Link(Port(guest.name, "eth0"), Port("host", guest.tap))
    for lan in around.lans:
        for number, station in enumerate(_stations(surroundings, lan)):
            yield Link(Port(station.name, "eth0"), Port(lan.named("lan"), _station_port(number)))
        for number, machine in enumerate(_plugged(surroundings, lan)):
            yield Link(Port(machine.name, "eth0"), Port(lan.named("lan"), _machine_port(number)))
        for number, machine in enumerate(_behind(surroundings, lan)):
            yield Link(Port(machine.name, "eth0"), Port(lan.named("gateway"), _gateway_port(number)))


def device_of(lan: Lan) -> str:
    """Return the host's device that the LAN's cable is plugged into: of a bridge its port."""
    uplink = lan.uplink
    return uplink.ports[0] if uplink.kind is UplinkKind.BRIDGE and uplink.ports else uplink.name


def peer_name(tunnel: Tunnel) -> str:
    """Return the name of the node behind a tunnel."""
    return f"peer-{node_name(tunnel.name)}"


def routes_by(routers: Sequence[AddressWithPrefix], own: Sequence[AddressWithPrefix], device: str) -> list[Route]:
    """Return a default route for each IP version in which a machine has an address, by a router of it.

    A router in the machine's own subnet is preferred.
    """
    found = []
    for version in sorted({address.version for address in own}):
        of_version = [one.ip for one in routers if one.version == version]
        near = (router for router in of_version if any(router in address.network for address in own))
        if (router := next(near, next(iter(of_version), None))) is not None:
            found.append(default_route(router, own, device))
    return found


def default_route(router: Address, own: Sequence[AddressWithPrefix], device: str, metric: int = 0) -> Route:
    """Return the default route by a router; the device is named if none of its own subnets has the router."""
    inside = any(router in address.network for address in own)
    every = EVERYWHERE if router.version == 4 else EVERYWHERE6
    return Route(every, router, "" if inside and not metric else device, metric=metric)


def _client(lan: Lan, number: int, scripted: bool, six: bool) -> Node:
    mac = f"00:50:56:c0:{number:02x}:08"
    if scripted:
        eth0 = Interface("eth0", mac, scripted=lan.client)
    else:
        eth0 = Interface("eth0", mac, lan.client, lan.scripted, scripted_mac=f"00:50:56:c0:{number:02x}:09")
    routes = tuple(routes_by(lan.gateway, lan.client, "eth0"))
    return Node(lan.named("client"), (eth0,), routes=routes, sysctls=(*of_ipv6(six and not scripted), *PLAIN))


def _gateway(lan: Lan, number: int, six: bool, behind: Sequence[Machine]) -> Node:
    inner = Interface("eth0", f"00:50:56:e0:{2 * number:02x}:fe", lan.gateway)
    outer = Interface("eth1", f"00:50:56:e0:{2 * number + 1:02x}:fe", lan.outside)
    sysctls = (*of_ipv6(six), *ROUTER, *(ROUTER6 if six else ()))
    ports = tuple(Interface(_gateway_port(place), _mac(number, 0x200 + place)) for place in range(len(behind)))
    routes = (Route(ip_network(one.address), device=_gateway_port(place)) for place, one in enumerate(behind))
    entries = (Neighbour(one.address, one.mac, _gateway_port(place)) for place, one in enumerate(behind))
    return Node(
        lan.named("gateway"),
        (inner, outer, *ports),
        routes=(*_to_the_host(lan), *(route for route in routes if six or route.destination.version == 4)),
        sysctls=sysctls,
        static_neighbours=tuple(entry for entry in entries if six or entry.address.version == 4),
    )


def _machines(surroundings: Surroundings, lan: Lan) -> list[Machine]:
    return [machine for machine in surroundings.machines if machine.uplink == lan.uplink.name]


def _plugged(surroundings: Surroundings, lan: Lan) -> list[Machine]:
    """The machines that are in the LAN itself."""
    return [one for one in _machines(surroundings, lan) if _subnet_of(one, lan) is not None]


def _behind(surroundings: Surroundings, lan: Lan) -> list[Machine]:
    """The machines that are behind the LAN's gateway."""
    return [one for one in _machines(surroundings, lan) if _subnet_of(one, lan) is None]


def _subnet_of(machine: Machine, lan: Lan) -> Prefix | None:
    return next((own.network for own in lan.uplink.addresses if machine.address in own.network), None)


def _addresses(machine: Machine, lan: Lan) -> tuple[AddressWithPrefix, ...]:
    """A machine's address, with the prefix of the LAN that it is in."""
    subnet = _subnet_of(machine, lan)
    return machine.addresses if subnet is None else (ip_interface(f"{machine.address}/{subnet.prefixlen}"),)


def _to_the_host(lan: Lan) -> Iterator[Route]:
    """The gateway's routes to addresses of the host that are in none of its own subnets."""
    for own in lan.behind:
        main = lan.uplink.address(own.version)
        if main is not None and main != own and any(main.ip in router.network for router in lan.gateway):
            yield Route(type(own.network)(own.ip), main.ip)
        else:
            yield Route(type(own.network)(own.ip), device="eth0")


def _switch(lan: Lan, number: int, stations: Sequence[MacvlanContainer], machines: Sequence[Machine]) -> Node:
    """The LAN itself: a bridge that filters nothing and sends nothing of its own."""
    name = lan.named("lan")
    isolated = [_station_port(one) for one in range(len(stations))]
    ports = ["client", "gateway", "host", *isolated, *(_machine_port(one) for one in range(len(machines)))]
    isolated += ["host"] if stations else []
    plugged = tuple(
        Interface(
            port,
            _mac(number, _FIRST_PORT + place),
            index=_FIRST_PORT + place,
            master="lan",
            isolated=port in isolated,
        )
        for place, port in enumerate(ports)
    )
    return Node(name, plugged, (Bridge("lan", _mac(number, 0xF0)),), sysctls=(*NO_IPV6, *SWITCH))


def _mac(number: int, last: int) -> str:
    return f"00:00:5e:{last >> 8:02x}:{0x53 + number:02x}:{last & 0xFF:02x}"


def _station_port(number: int) -> str:
    return f"station{number}"


def _machine_port(number: int) -> str:
    return f"machine{number}"


def _gateway_port(number: int) -> str:
    return f"eth{number + 2}"


def _stations(surroundings: Surroundings, lan: Lan) -> list[MacvlanContainer]:
    return [station for station in surroundings.stations if station.uplink == lan.uplink.name]


def _internet(around: Around, scripted: bool, six: bool) -> Node:
    addresses = around.internet
    eth0 = Interface("eth0", _INTERNET_MAC, *(((), addresses) if scripted else (addresses, ())))
    routes = routes_by(around.main.outside, addresses, "eth0")
    for lan in around.lans[1:]:
        for own in lan.uplink.addresses:
            router = next((one.ip for one in lan.outside if one.version == own.version), None)
            routes += [Route(own.network, router)] if router is not None else []
    return Node("internet", (eth0,), routes=tuple(routes), sysctls=(*of_ipv6(six and not scripted), *PLAIN))


def _to_the_internet(around: Around) -> Iterator[Link]:
    if len(around.lans) == 1:
        yield Link(Port("internet", "eth0"), Port(around.main.named("gateway"), "eth1"))
        return
    yield Link(Port("internet", "eth0"), Port(_WAN, "internet"))
    for number, lan in enumerate(around.lans):
        yield Link(Port(lan.named("gateway"), "eth1"), Port(_WAN, f"gateway{number}"))


def _wan(around: Around) -> Node:
    ports = ["internet", *(f"gateway{number}" for number in range(len(around.lans)))]
    plugged = (
        Interface(port, f"00:00:5e:00:52:{_FIRST_PORT + place:02x}", index=_FIRST_PORT + place, master=_WAN)
        for place, port in enumerate(ports)
    )
    return Node(_WAN, tuple(plugged), (Bridge(_WAN, "00:00:5e:00:52:f0"),), sysctls=(*NO_IPV6, *SWITCH))


def _machine(
    name: str,
    mac: str,
    addresses: tuple[AddressWithPrefix, ...],
    routers: Sequence[AddressWithPrefix],
    scripted: bool,
    six: bool,
) -> Node:
    """A machine with one interface, whose default routes lead to these routers."""
    kept = _kept(addresses, six)
    eth0 = Interface("eth0", mac, *(((), kept) if scripted else (kept, ())))
    routes = tuple(routes_by(routers, kept, "eth0"))
    return Node(name, (eth0,), routes=routes, sysctls=(*of_ipv6(six and not scripted), *PLAIN))


def interfaces(surroundings: Surroundings, around: Around, six: bool) -> Iterator[Interface]:
    """Yield the host's interfaces: uplinks or the port of an uplink that is a bridge, tunnels, guests' ports."""
    for lan in around.lans:
        uplink = lan.uplink
        if device_of(lan) != uplink.name:
            yield Interface(device_of(lan), uplink.mac, master=uplink.name, mtu=uplink.mtu)
            continue
        yield Interface(
            uplink.name, uplink.mac, uplink.addresses, index=uplink.index, altnames=uplink.altnames, mtu=uplink.mtu
        )
    for tunnel in surroundings.tunnels:
        own = _kept(tunnel.addresses, six)
        yield Interface(tunnel.name, tunnel.mac, own, index=tunnel.index, mtu=tunnel.mtu)
    for bridge in surroundings.bridges:
        for guest in bridge.guests:
            yield Interface(guest.tap, guest.tap_mac, master=bridge.name, mtu=bridge.mtu)


def own_bridges(surroundings: Surroundings, around: Around, six: bool) -> Iterator[Bridge]:
    """Yield the host's bridges that are no Docker networks."""
    for lan in around.lans:
        uplink = lan.uplink
        if device_of(lan) != uplink.name:
            yield Bridge(uplink.name, uplink.mac, uplink.addresses, uplink.index, uplink.mtu)
    for bridge in surroundings.bridges:
        yield Bridge(bridge.name, bridge.mac, _kept(bridge.addresses, six), bridge.index, bridge.mtu)


def _kept(addresses: tuple[AddressWithPrefix, ...], six: bool) -> tuple[AddressWithPrefix, ...]:
    return tuple(own for own in addresses if six or own.version == 4)
