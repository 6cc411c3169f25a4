"""A real engine's host as a bed: its network around it, its own bridges and rules, scripted endpoints as containers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

from pyroute2 import IPRoute

from testbed.bed import Testbed
from testbed.conformance.engine import RealEngine
from testbed.docker import article
from testbed.docker.host import Attachment, Container, DockerHost, Network
from testbed.docker.sysctls import NO_IPV6
from testbed.kernel.devices import write_sysctls
from testbed.kernel.xtables import backend as backend_of
from testbed.topology import Neighbour


@contextmanager
def real_bed(engine: RealEngine, host: DockerHost, backend: str) -> Iterator[Testbed]:
    """Provide the bed; the only change to the host are neighbour entries with the containers' MACs.

    Containers lose their addresses, so that only scripts answer there. They send no IPv6 of their own: multicast
    reports would be forwarded, and counted.
    """
    topology = article.topology(_as_it_is(engine, host))
    with ExitStack() as opened:
        inside = {c.name: opened.enter_context(closing(engine.inside(c))) for c in host.containers}
        for namespace in inside.values():
            namespace.run(write_sysctls, NO_IPV6)
            namespace.netlink(_without_addresses)
        own = [entry for entry in topology.neighbours(topology.host) if entry.device != host.surroundings.main.name]
        engine.host.netlink(lambda ip: _told(ip, own))
        rules = backend_of(backend).saved(engine.host)
        with Testbed.attach(topology, {**engine.around, **inside}, rules, backend) as bed:
            yield bed


def _as_it_is(engine: RealEngine, host: DockerHost) -> DockerHost:
    """Return the host with the MACs that the engine and the kernel gave."""
    macs = engine.host.netlink(lambda ip: {link.get("ifname"): link.get("address") for link in ip.get_links()})
    networks = {network: replace(network, mac=macs[network.bridge]) for network in host.networks}
    containers = tuple(_container_as_it_is(engine, container, networks) for container in host.containers)
    return replace(host, networks=tuple(networks.values()), containers=containers)


def _container_as_it_is(engine: RealEngine, container: Container, networks: dict[Network, Network]) -> Container:
    by_address = {address: one.mac for one in engine.attached(container) for address in one.addresses}

    def mac(own: Attachment) -> str:
        return by_address[f"{own.address}/{own.network.subnet.prefixlen}"]

    first, *others = container.attachments
    also = tuple(replace(own, network=networks[own.network], mac=mac(own)) for own in others)
    return replace(container, network=networks[container.network], mac=mac(first), also=also)


def _without_addresses(ip: IPRoute) -> None:
    for link in ip.get_links():
        if link.get("ifname") != "lo":
            ip.flush_addr(index=link["index"])


def _told(ip: IPRoute, neighbours: list[Neighbour]) -> None:
    indexes = {link.get("ifname"): link["index"] for link in ip.get_links()}
    for entry in neighbours:
        wish = {"dst": str(entry.address), "lladdr": entry.mac, "state": "permanent"}
        ip.neigh("replace", ifindex=indexes[entry.device], **wish)
