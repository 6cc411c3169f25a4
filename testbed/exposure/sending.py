"""Witnesses sent one by one, traced; those that are no probes with the header that they need."""

from __future__ import annotations

from typing import Any

from testbed.analysis.packets import TCP, UDP
from testbed.analysis.plain import PlainHeader
from testbed.bed import Testbed
from testbed.behaviour import packets
from testbed.behaviour.behaviour import Behaviour
from testbed.behaviour.probes import Probe
from testbed.behaviour.probing import named
from testbed.behaviour.referenced_values import free_port
from testbed.exposure.cells import ExposureCell
from testbed.exposure.columns import ColumnKind
from testbed.observe.journey import DELIVERED, DROPPED, LET_THROUGH, LOCAL_INPUT, Journey
from testbed.question import Talk
from testbed.traced_connection import CountedJourney, follow, follow_kernel
from testbed.traffic import layers

_NAMES = {TCP: "tcp", UDP: "udp"}


def sent_outcome(bed: Testbed, cell: ExposureCell) -> Behaviour | None:
    """Return what the kernel did to a witness; None where no node can send it."""
    witness = cell.witness
    if witness is not None and witness.probe is not None:
        sent = followed(bed, witness.probe)
        return Behaviour(witness.probe, _outcome(sent[0].journey, bed.topology.host), (), None) if sent else None
    if witness is None or witness.sender is None or cell.column.kind is ColumnKind.HOST:
        return None
    header = witness.header
    if header.protocol not in _NAMES or header.source.version != witness.sender.address.version:
        return None
    journey = bed.send(packet(cell), witness.sender.node, via=_via(bed, cell), trace=True).journey
    probe = Probe(witness.sender.node, _NAMES[header.protocol], str(header.destination), header.second)
    return Behaviour(probe, _outcome(journey, bed.topology.host), (), None)


def packet(cell: ExposureCell) -> Any:
    """Return a witness as scapy's packet, as its sender sends it."""
    assert cell.witness is not None
    header = cell.witness.header
    ttl = header.ttl + (cell.column.kind is ColumnKind.INTERNET)
    source, destination = str(header.source), str(header.destination)
    network: Any = (
        layers.IP(src=source, dst=destination, ttl=ttl, tos=header.tos)
        if header.source.version == 4
        else (layers.IPv6(src=source, dst=destination, hlim=ttl, tc=header.tos))
    )
    made = network / _transport(header)
    padding = header.length - len(made)
    return made / layers.Raw(bytes(padding)) if padding > 0 else made


def _transport(header: PlainHeader) -> Any:
    if header.protocol == TCP:
        return layers.TCP(sport=header.first, dport=header.second, flags=header.flags)
    return layers.UDP(sport=header.first, dport=header.second)


def _via(bed: Testbed, cell: ExposureCell) -> str | None:
    """Return the router that gets the packet: the host where it is given to that whatever the sender's routes."""
    assert cell.witness is not None
    if cell.column.kind is ColumnKind.DIRECT or (
        cell.column.kind is ColumnKind.NETWORK and not cell.witness.header.bridged
    ):
        host = bed.topology.node(bed.topology.host)
        device = next(own for own in host.devices if own.name == cell.column.origin.entered)
        own = [address.ip for address in device.addresses if address.version == 4]
        return str(own[0]) if own else None
    return None


def _outcome(journey: Journey, host: str) -> str:
    """Return the outcome in the words of behaviours."""
    end = journey.end
    if end.kind == DELIVERED:
        return f"reaches {end.where} at {journey.arrived.to if journey.arrived is not None else ''}"
    if end.kind == LOCAL_INPUT:
        return f"reaches {host} itself"
    if end.kind == LET_THROUGH:
        return "is let through"
    return "is dropped" if end.kind == DROPPED else "is lost"


def followed(bed: Testbed, probe: Probe) -> tuple[CountedJourney, ...]:
    """Send a probe and return its journey; one of the host may have others behind it."""
    if probe.origin == bed.topology.host:
        to = probe.address, probe.port
        return follow_kernel(bed, lambda: bed.send_from_kernel(probe.origin, probe.protocol, to))
    return follow(bed, _sent(bed, probe))


def _sent(bed: Testbed, probe: Probe) -> Talk:
    number = free_port(bed.free_port, named(bed).source_ports)
    data, via = packets.question(bed, probe, number)
    yield bed.send(layers.of(data), probe.origin, via=via)
