"""The node that sends from an address or a network: one that the host's surroundings have, or one more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface

from testbed.docker import naming
from testbed.docker.beside import peer_name
from testbed.docker.fitted_containers import container_at
from testbed.docker.fitted_machines import machine_name
from testbed.docker.host import LOOPBACK, LOOPBACK6, DockerHost, Network
from testbed.docker.host_section import guest
from testbed.docker.surroundings import GuestBridge, Machine, Surroundings, Tunnel
from testbed.errors import TestbedError
from testbed.topology import Address, AddressWithPrefix


@dataclass(frozen=True, slots=True)
class Asker:
    """A host with a node that can send, and that node's name."""

    host: DockerHost
    node: str


def asker(host: DockerHost, text: str) -> Asker:
    """Return the node for an address, a network or a name; an address that no node has gets one.

    The node is where the host's networks say: a container, a guest, a tunnel's peer, a machine in a LAN or behind the
    gateway. Raises TestbedError for a network without a machine and for an address that cannot send.
    """
    if (address := address_in(text)) is None:
        return Asker(host, _member(host, text) or text)
    if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
        raise TestbedError(f"no packet can come from {address}.", "Give the address of one machine.")
    if (known := dict(_owners(host)).get(address)) is not None:
        return Asker(host, known)
    return _added(host if address.version == 4 else _changed(host, replace(host.surroundings, ipv6=True)), address)


def address_in(text: str) -> Address | None:
    try:
        return ip_address(text.strip("[]"))
    except ValueError:
        return None


def _member(host: DockerHost, name: str) -> str:
    """The first machine of the network that Docker or its bridge calls so; empty if there is no such network."""
    if name in _nodes(host) or host.node_called(name) is not None:
        return ""
    members = {
        **{own.bridge: _containers(host, own) for own in host.networks},
        **{own.name: _containers(host, own) for own in host.networks if own.name},
        **{own.name: [one.name for one in own.guests] for own in host.surroundings.bridges},
        **{own.name: [peer_name(own)] for own in host.surroundings.tunnels},
    }
    if name not in members:
        return ""
    if not members[name]:
        raise TestbedError(f"no machine is on the network {name}.", "Put a container on it, or give an address of it.")
    return members[name][0]


def _nodes(host: DockerHost) -> set[str]:
    return {*host.around.names, *(own.name for own in (*host.containers, *host.surroundings.named))}


def _containers(host: DockerHost, network: Network) -> list[str]:
    return [one.name for one in host.containers if any(own.network == network for own in one.attachments)]


def _owners(host: DockerHost) -> Iterator[tuple[Address, str]]:
    """Yield every address with the node that has it."""
    for lan in host.around.lans:
        yield from ((own.ip, lan.named("gateway")) for own in (*lan.gateway, *lan.outside))
        yield from ((own.ip, lan.named("client")) for own in lan.client)
    yield from ((own.ip, "internet") for own in host.around.internet)
    for tunnel in host.surroundings.tunnels:
        yield from ((own.ip, peer_name(tunnel)) for own in tunnel.peer)
    for machine in host.surroundings.named:
        yield from ((own.ip, machine.name) for own in machine.addresses)
    for container in host.containers:
        for attachment in container.attachments:
            yield attachment.address, container.name
            if attachment.address6 is not None:
                yield attachment.address6, container.name
    yield from ((address, "host") for address in host.own_addresses())


def _added(host: DockerHost, address: Address) -> Asker:
    if address in LOOPBACK or address in LOOPBACK6:
        return Asker(host, "host")
    name, surroundings = machine_name(address), host.surroundings
    for network in host.networks:
        subnet = network.subnet if address.version == 4 else network.subnet6
        if subnet is not None and address in subnet:
            made = replace(container_at(address, network, host.addresses()), name=name)
            return Asker(replace(host, containers=(*host.containers, made)), name)
    for bridge in surroundings.bridges:
        if (near := _within(address, bridge.addresses)) is not None:
            return Asker(_changed(host, _with_guest(surroundings, bridge, name, near)), name)
    for tunnel in surroundings.tunnels:
        if _within(address, tunnel.addresses) is not None or any(
            address.version == network.version and address in network for network in tunnel.networks
        ):
            return Asker(_changed(host, _with_peer(surroundings, tunnel, address)), peer_name(tunnel))
    uplink = next(
        (own.name for own in surroundings.uplinks if _within(address, own.addresses) is not None),
        surroundings.main.name,
    )
    machine = Machine(name, naming.local_mac(name), address, uplink)
    return Asker(_changed(host, replace(surroundings, machines=(*surroundings.machines, machine))), name)


def _within(address: Address, addresses: tuple[AddressWithPrefix, ...]) -> AddressWithPrefix | None:
    """The address with the prefix of the subnet that it is in, if it is in one of these."""
    for own in addresses:
        if address.version == own.version and address in own.network:
            return ip_interface(f"{address}/{own.network.prefixlen}")
    return None


def _with_guest(surroundings: Surroundings, bridge: GuestBridge, name: str, own: AddressWithPrefix) -> Surroundings:
    more = replace(bridge, guests=(*bridge.guests, guest(bridge.name, name, (own,))))
    return replace(surroundings, bridges=tuple(more if one == bridge else one for one in surroundings.bridges))


def _with_peer(surroundings: Surroundings, tunnel: Tunnel, address: Address) -> Surroundings:
    """The tunnel's peer sends from that address; the host reaches it by the tunnel."""
    more = replace(tunnel, peer=(ip_interface(address), *tunnel.peer))
    return replace(surroundings, tunnels=tuple(more if one == tunnel else one for one in surroundings.tunnels))


def _changed(host: DockerHost, surroundings: Surroundings) -> DockerHost:
    return replace(host, surroundings=surroundings)
