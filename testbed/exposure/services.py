"""Services that rules tell of: containers' ports that they translate to, and ports of the host that they name."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.analysis.describe import Spans, spans
from testbed.analysis.packets import WITH_PORTS
from testbed.analysis.reachability import Reachability
from testbed.analysis.rules import Manip
from testbed.analysis.vector import PacketSet
from testbed.docker.host import DockerHost
from testbed.exposure.rows import NUMBERS, ServicePort

_MOST_OF_A_RULE = 8  # ports that one rule may name to be rows of their own
_MOST_LISTENERS = 12


def translated_services(reachability: Reachability, host: DockerHost) -> list[ServicePort]:
    """Return the ports of containers to which rules translate."""
    owners = {
        address: container.name
        for container in host.containers
        for own in container.attachments
        for address in (own.address, own.address6)
        if address is not None
    }
    found: list[ServicePort] = []
    for decision in reachability.first.decisions:
        action = decision.translation
        if action is None or action.manip is not Manip.DESTINATION or action.low not in owners:
            continue
        given = action.ports
        for protocol, ports in _ports(reachability, decision.packets):
            single = [given[0]] if given is not None and given[0] == given[1] else _single(ports)
            found += [ServicePort(owners[action.low], port, protocol) for port in single]
    return sorted(set(found))


def host_listeners(reachability: Reachability, node: str) -> list[ServicePort]:
    """Return the ports of the host that rules of INPUT name, of rules that name a few."""
    found: list[ServicePort] = []
    world = reachability.world
    unicast = world.routing.local(world.packet.six, world.packet.destination)
    for decision in reachability.first.decisions:
        if decision.base.hook == "INPUT" and "dport" in decision.reference.text:
            for protocol, ports in _ports(reachability, decision.packets & unicast):
                found += [ServicePort(node, port, protocol) for port in _single(ports)]
    return sorted(set(found))[:_MOST_LISTENERS]


def _ports(reachability: Reachability, packets: PacketSet) -> Iterator[tuple[str, Spans]]:
    """Yield the destination ports of packets as they first came, by protocol."""
    world = reachability.world
    second = world.variables.second
    everything = (*world.variables.all, *world.opaque.variables)
    own = set(second.bits)
    others = world.space.one_for_all(bit for bit in everything if bit not in own)
    begun = packets & reachability.begun
    for name, number in NUMBERS.items():
        of_it = (begun & world.space.equal(world.packet.protocol, number)).exists(others)
        if number in WITH_PORTS and of_it.satisfiable():
            yield name, spans(of_it, second) or ()


def _single(ports: Spans) -> list[int]:
    """Return the ports of spans that are few, 0 left out."""
    numbers = [number for low, high in ports if high - low < _MOST_OF_A_RULE for number in range(low, high + 1)]
    few = len(numbers) <= _MOST_OF_A_RULE and all(high - low < _MOST_OF_A_RULE for low, high in ports)
    return [number for number in numbers if number] if few else []
