"""A connection replayed packet by packet, with every counter read after each packet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from testbed.bed import Testbed
from testbed.docker.host import DockerHost
from testbed.docker.network import HOST_ADDRESS
from testbed.errors import TestbedError
from testbed.rules import Counters
from testbed.rules.reading import CounterReading, Line
from testbed.traffic.packet import Crossing
from testbed.traffic.tcp import Stack


@dataclass(frozen=True, slots=True)
class Step:
    """A packet, and what all rules and policies have counted since the first one was sent."""

    crossing: Crossing
    counted: CounterReading

    def as_dict(self) -> dict[str, Any]:
        """For programs: the packet as sent and as arrived, packets and bytes of every rule and policy."""
        sent, arrived = self.crossing.sent, self.crossing.arrived
        return {
            "packet": sent.kind,
            "bytes": sent.length,
            "sent": {"from": sent.from_, "to": sent.to},
            "arrived": {"from": arrived.from_, "to": arrived.to} if arrived is not None else None,
            "rules": [_entry(line, counters) for line, counters in self.counted if not line.is_policy],
            "policies": [_entry(line, counters) for line, counters in self.counted if line.is_policy],
        }


def _entry(line: Line, counters: Counters) -> dict[str, Any]:
    return {"table": line.table, "line": line.text, "packets": counters.packets, "bytes": counters.bytes}


def replay(bed: Testbed, host: DockerHost, stack: Stack, close: bool = False) -> Iterator[Step]:
    """The handshake of a client with the first published port, and the close after it; ends at a packet that is lost.

    Raises TestbedError for a host that publishes no TCP port to the LAN.
    """
    if not host.offered():
        raise TestbedError("this host publishes no TCP port to the LAN.", "Give a service `ports`, for instance 80:80.")
    container, port = host.offered()[0]
    before = bed.counters()
    talk = bed.tcp("client", container.name, (str(HOST_ADDRESS.ip), port.host), stack)
    for packet in talk.handshake_steps + (talk.close_steps() if close else ()):
        crossing = packet()
        yield Step(crossing, bed.counters() - before)
        if not crossing.delivered:
            return
