"""A connection replayed packet by packet, with every counter read after each packet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from testbed.bed import Testbed
from testbed.observe.packet_result import PacketResult
from testbed.rules import Counters
from testbed.rules.reading import CounterLine, CounterReading
from testbed.traffic.packet import Packet
from testbed.traffic.tcp import Stack


@dataclass(frozen=True, slots=True)
class ReplayStep:
    """A packet, and the counters of all rules and policies since before the first packet.

    `answer` is a packet that a kernel on the path sent back for a SYN that reached no endpoint of the bed. `absent` is
    the address that such a SYN was translated to, if no node of the bed has it.
    """

    result: PacketResult
    counted: CounterReading
    answer: Packet | None = None
    absent: str = ""

    @property
    def accepted(self) -> bool:
        """Whether a kernel on the path accepts the connection itself."""
        return self.answer is not None and self.answer.flags == "SA"

    def as_dict(self) -> dict[str, Any]:
        """Return the step for JSON output: the packet as sent and as arrived, the counters of every rule and policy."""
        sent, arrived = self.result.sent, self.result.arrived
        return {
            "packet": sent.kind,
            "bytes": sent.length,
            "sent": {"from": sent.from_, "to": sent.to},
            "arrived": {"from": arrived.from_, "to": arrived.to} if arrived is not None else None,
            "answer": str(self.answer) if self.answer is not None else None,
            "absent": self.absent or None,
            "rules": [_entry(line, counters) for line, counters in self.counted if not line.is_policy],
            "policies": [_entry(line, counters) for line, counters in self.counted if line.is_policy],
        }


def _entry(line: CounterLine, counters: Counters) -> dict[str, Any]:
    return {"table": line.table, "line": line.text, "packets": counters.packets, "bytes": counters.bytes}


def replay(bed: Testbed, origin: str, to: tuple[str, int], stack: Stack, close: bool = False) -> Iterator[ReplayStep]:
    """Yield the handshake of a client with a destination, and optionally the close; ends after a lost packet.

    The node where the SYN arrives becomes the server.
    """
    bed.settle_everywhere()  # every endpoint captures from here on
    before = bed.counters()
    connection = bed.connect(origin, to, stack=stack)
    syn = connection.syn
    if not syn.delivered:
        answer = next(iter(syn.answers), None)
        yield ReplayStep(syn, bed.counters() - before, answer, _absent(bed, syn.sent))
        return
    yield ReplayStep(syn, bed.counters() - before)
    for step in connection.handshake_steps + (connection.close_steps() if close else ()):
        result = step()
        yield ReplayStep(result, bed.counters() - before)
        if not result.delivered:
            return


def _absent(bed: Testbed, sent: Packet) -> str:
    """Return the address that the host let a SYN through to, if no node of the bed has it."""
    own = [str(address.ip) for node in bed.topology.nodes for address in node.addresses]
    asked = sent.source, sent.source_port, sent.destination, sent.destination_port
    for entry in bed.connections():
        way, target = entry.original, entry.reply.source
        if (way.source, way.source_port, way.destination, way.destination_port) == asked and target not in own:
            return target
    return ""
