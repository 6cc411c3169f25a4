"""The default port of a command: a port that the given rules, or the host, publish."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.docker.host import DockerHost, PublishedPort
from testbed.errors import TestbedError
from testbed.rules import AnyRuleset
from testbed.rules.published import Published, published
from testbed.topology import Topology

Place = tuple[str, int]
_WITHOUT_PORTS = "icmp"


@dataclass(frozen=True, slots=True)
class Publishers:
    """The sources of published ports: the rules, and the Docker host if a file describes it (`described`)."""

    rules: AnyRuleset
    host: DockerHost
    described: bool

    def own(self, version: int) -> str:
        """Return the host's address for others."""
        return str(self.host.around.host_address(version))


def places(publishers: Publishers, topology: Topology, protocol: str) -> list[Place]:
    """Return one address and port for each IP version of the host.

    Raises TestbedError if no port of that protocol is published.
    """
    versions = sorted({address.version for address in topology.node(topology.host).addresses})
    if protocol == _WITHOUT_PORTS:
        return [(publishers.own(version), 0) for version in versions]
    found = [next(_candidates(publishers, protocol, version), None) for version in versions]
    asked = [place for place in found if place is not None]
    if not asked:
        raise TestbedError(
            f"no {protocol.upper()} port is published by {publishers.rules.source}: there is none to ask by default.",
            "Say what to ask: --to ADDRESS:PORT or --to NODE:PORT.",
        )
    return asked


def _candidates(publishers: Publishers, protocol: str, version: int) -> Iterator[Place]:
    """Yield candidates: first ports that host and rules publish, then those of the rules, then those of the host."""
    translated = [one for one in published(publishers.rules) if (one.protocol, one.version) == (protocol, version)]
    offered = [
        port
        for _, port in publishers.host.published()
        if port.protocol == protocol and port.in_version(version) and not port.on_loopback
    ]
    own = publishers.own(version)
    at_host = [_of_host(port, own) for port in offered]
    yield from (place for place in at_host if any(_meets(one, place) for one in translated))
    yield from ((one.address or own, one.port) for one in translated)
    if publishers.described:
        yield from at_host


def _meets(one: Published, place: Place) -> bool:
    """Whether rules translate what is asked at a place."""
    return one.port == place[1] and one.address in ("", place[0])


def _of_host(port: PublishedPort, own: str) -> Place:
    return own if port.address is None or port.everywhere else str(port.address), port.host
