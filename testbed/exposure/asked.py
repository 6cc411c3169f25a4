"""One question about reachability: from a place to a port, over all packets, each passing region with a packet sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network

from testbed.analysis.places import Origin
from testbed.analysis.reachability import Ending, Reachability, ReachRegion
from testbed.bed import Testbed
from testbed.behaviour.regions.sending import WitnessSender
from testbed.behaviour.regions.wire import Numbers
from testbed.behaviour.regions.wired import with_endpoints
from testbed.behaviour.static_neighbours import add_static_neighbours
from testbed.docker.host import DockerHost
from testbed.errors import Disagreement, TestbedError
from testbed.exposure.columns import ExposureColumn, columns
from testbed.exposure.made import ExposureStand
from testbed.exposure.rows import ExposureRow, ServicePort, rows
from testbed.kernel.namespace import quarantine
from testbed.observe.journey import DELIVERED, DROPPED, LET_THROUGH, LOCAL_INPUT, Journey
from testbed.topology import Topology

_TARGET = re.compile(r"(?P<node>[^:/\s]+):(?P<port>\d{1,5})(?:/(?P<protocol>tcp|udp|sctp))?")
_LAST_PORT = 65535
_PASSING = (DELIVERED, LOCAL_INPUT, LET_THROUGH)


@dataclass(frozen=True, slots=True)
class AnsweredRegion:
    """A region of first packets with the journey of its witness; None: no node of the bed can send that."""

    region: ReachRegion
    version: int
    journey: Journey | None

    @property
    def passes(self) -> bool:
        return self.region.ending is Ending.DELIVERED


@dataclass(frozen=True, slots=True)
class ReachAnswer:
    """The answer to a question: all regions that pass, those that do not, and what the analysis does not follow."""

    origin: str
    target: str
    regions: tuple[AnsweredRegion, ...]
    unjudged: tuple[str, ...]

    @property
    def passing(self) -> tuple[AnsweredRegion, ...]:
        return tuple(one for one in self.regions if one.passes)

    @property
    def stopped(self) -> tuple[AnsweredRegion, ...]:
        return tuple(one for one in self.regions if not one.passes)


def answered(stand: ExposureStand, from_: str, to: str) -> ReachAnswer:
    """Answer whether first packets from a place reach a port, and send a witness of each region.

    Raises TestbedError for a place or a port that the host does not have, AnalysisError for rules that are too large,
    Disagreement if the kernel does to a witness what the analysis does not say.
    """
    service = _service(to)
    column, origin = _origin(columns(stand.topology, stand.host), from_, stand.host)
    row = _row(stand.topology, stand.host, service)
    reachability = Reachability(stand.rules, stand.topology)
    found, unjudged = [], list[str]()
    for version in column.versions:
        result = reachability.reach(origin, row.target, version)
        found += [(region, version) for region in result.regions]
        unjudged += result.unjudged
        unjudged += [clause for region in result.regions for clause in region.clauses]
    journeys = _sent(stand, [region for region, _ in found])
    regions = tuple(AnsweredRegion(*one, journey) for one, journey in zip(found, journeys, strict=True))
    return ReachAnswer(
        column.key if origin is column.origin else from_, row.key, regions, tuple(dict.fromkeys(unjudged))
    )


def _service(to: str) -> ServicePort:
    found = _TARGET.fullmatch(to)
    if found is None or not 0 < int(found["port"]) <= _LAST_PORT:
        raise TestbedError(f"--to {to!r} is no service.", "Give a node and a port: --to web:5432, --to dns:53/udp.")
    return ServicePort(found["node"], int(found["port"]), found["protocol"] or "tcp")


def _origin(known: Sequence[ExposureColumn], from_: str, host: DockerHost) -> tuple[ExposureColumn, Origin]:
    """Return the place that a name means: a column, or the networks of one container."""
    for column in known:
        if from_ in (column.key, column.kind.value):
            return column, column.origin
    node = host.node_called(from_) or from_
    for column in known:
        own = [sender for sender in column.senders if sender.node == node]
        if own:
            sources = tuple(ip_network(sender.address) for sender in own)
            return column, replace(column.origin, name=node, sources=sources, without=())
    names = ", ".join(dict.fromkeys(column.key for column in known))
    raise TestbedError(f"--from {from_!r} is no place of this host.", f"Give {names}, or a container's name.")


def _row(topology: Topology, host: DockerHost, service: ServicePort) -> ExposureRow:
    node = host.node_called(service.node) or service.node
    service = replace(service, node=node)
    own = [service] if node == topology.host else []
    for row in rows(topology, host, [service], own):
        if (row.node, row.port, row.protocol) == (node, service.port, service.protocol):
            return row
    nodes = ", ".join((*(container.name for container in host.containers), topology.host))
    raise TestbedError(f"there is no node {service.node} with services.", f"Give one of {nodes}.")


def _sent(stand: ExposureStand, regions: Sequence[ReachRegion]) -> list[Journey | None]:
    topology = with_endpoints(stand.topology)
    with quarantine(), Testbed(topology, stand.rules, stand.backend) as bed:
        ends = {str(header.destination) for region in regions for header in [region.witness.first]}
        add_static_neighbours(bed.host, bed.topology, ends)
        return list(_journeys(bed, regions))


def _journeys(bed: Testbed, regions: Sequence[ReachRegion]) -> Iterator[Journey | None]:
    for number, region in enumerate(regions):
        bed.forget_connections()
        with bed.tracing() as tracing:
            sender, header = WitnessSender(bed, tracing), region.witness.first
            journey = sender.send(header, Numbers(seq=1 + number * 1000)).journey if sender.can(header) else None
            _require_agreement(region, journey)
            yield journey


def _require_agreement(region: ReachRegion, journey: Journey | None) -> None:
    """Raise Disagreement if the kernel lets pass what the analysis stops, or the reverse."""
    if journey is None or region.clauses:
        return
    reaches = journey.end.kind in _PASSING
    stopped = region.ending in (Ending.DROPPED, Ending.REFUSED)
    if (region.ending is Ending.DELIVERED and journey.end.kind == DROPPED) or (stopped and reaches):
        raise Disagreement(
            f"the analysis says {region.ending.value}, and {journey.sent} is {journey.end}.",
            "Please report it with the rules and the host.",
        )
