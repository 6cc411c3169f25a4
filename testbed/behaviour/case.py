"""A test case as a row of values: one packet and the expected result. One function sends it and compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from testbed.bed import Testbed
from testbed.behaviour.ask import behaviours
from testbed.behaviour.probes import ICMP, INVALID, NEW, STRAY, TCP, UDP, Probe
from testbed.errors import TestbedError
from testbed.observe.packet_result import PacketResult
from testbed.rules.reading import CounterReading
from testbed.traffic import layers
from testbed.traffic.packet import Packet, place
from testbed.visible import visible

DELIVERED, NOT_DELIVERED = "delivered", "not delivered"
REFUSED, ANSWERED, NOT_ANSWERED = "refused", "answered", "not answered"
COUNTED, BEHAVES = "counted", "behaves"
_PORT = 40000
_FLAGS = {NEW: "S", INVALID: "SF", STRAY: "A"}
_ECHO_REQUESTS = ((8, 0), (128, 0))


@dataclass(frozen=True, slots=True)
class PacketCase:
    """A packet of a node to an address and a port (0: none), and the expected result.

    The packet: `protocol` is tcp, udp or icmp (an echo request). `state` is new, invalid or stray as in a probe.
    `source` is its source address (empty: the node's own). `via` is the address of the router that gets it (empty: by
    the node's routes). The host's packets are sent by its own kernel.

    `expected` is one of
    - delivered: the packet arrives at the node `at`, with the destination `dnat` and the source `snat` (empty: not
      translated). `answer`: the node's answer returns to the sender from that place. `error`: the node's ICMP error
      about the packet returns too.
    - not delivered: it comes out at no node.
    - refused, answered, not answered: what the sender's own kernel learns of its TCP connection or echo request.
    - counted: the rules count what the lines `counters` say, as `iptables-save -c` prints them.
    - behaves: `outcome` equals the outcome in a table of behaviours.
    """

    origin: str
    protocol: str
    address: str
    port: int
    expected: str
    at: str = ""
    dnat: str = ""
    snat: str = ""
    answer: str = ""
    error: bool = False
    counters: tuple[str, ...] = ()
    outcome: str = ""
    source: str = ""
    via: str = ""
    state: str = NEW

    def __post_init__(self) -> None:
        for name, value, known in (
            ("expected", self.expected, _CHECKS),
            ("protocol", self.protocol, (TCP, UDP, ICMP)),
            ("state", self.state, _FLAGS),
        ):
            if value not in known:
                raise TestbedError(f"{name} is {value!r} in a case.", f"Write one of {', '.join(known)}.")

    @property
    def probe(self) -> Probe:
        """Return the packet as a probe."""
        return Probe(
            self.origin, self.protocol, self.address, self.port, self.state, self.source, direct=bool(self.via)
        )


def check(bed: Testbed, case: PacketCase) -> None:
    """Send the packet of a case; raise AssertionError if the result differs from the expected one."""
    _CHECKS[case.expected](bed, case)


def counted(bed: Testbed, case: PacketCase) -> tuple[str, ...]:
    """Return what the rules count of the packet of a case, as lines of `iptables-save -c`."""
    return tuple(str(_counting(bed, case).moved).split("\n"))


def _delivered(bed: Testbed, case: PacketCase) -> None:
    to = case.dnat or place(case.address, case.port)
    if _by_kernel(bed, case):
        _equal(case, "packets that arrive", _arrivals_of_the_kernels(bed, case), [to])
        return
    result = _send(bed, case)
    arrived = _arrived(case, "the packet", result, case.at)
    _equal(case, "destination", arrived.to, to)
    _equal(case, "source", arrived.source, case.snat or result.sent.source)
    if case.answer:
        answered = bed.send(_answer(case, arrived), case.at)
        _equal(case, "answer from", _arrived(case, "the answer", answered, case.origin).from_, case.answer)
    if case.error:
        _arrived(case, "the error about it", bed.send(_error(case, arrived), case.at), case.origin)


def _not_delivered(bed: Testbed, case: PacketCase) -> None:
    if _by_kernel(bed, case):
        _equal(case, "packets that arrive", _arrivals_of_the_kernels(bed, case), [])
    else:
        _equal(case, "delivered to", _send(bed, case).delivered_to, None)


def _refused(bed: Testbed, case: PacketCase) -> None:
    with bed.connect_from_kernel(case.origin, (case.address, case.port)) as attempt:
        _equal(case, "outcome", attempt.outcome, REFUSED)


def _answered(bed: Testbed, case: PacketCase) -> None:
    _equal(case, "answered", bed.ping(case.origin, case.address), case.expected == ANSWERED)


def _counted(bed: Testbed, case: PacketCase) -> None:
    found = _counting(bed, case)
    _expect(found == "\n".join(case.counters), case, f"other rules counted:\n{found.moved}")


def _counting(bed: Testbed, case: PacketCase) -> CounterReading:
    with bed.counting() as counting:
        if _by_kernel(bed, case):
            bed.send_from_kernel(case.origin, case.protocol, (case.address, case.port))
        else:
            _send(bed, case)
    return counting.result


def _behaves(bed: Testbed, case: PacketCase) -> None:
    (found,) = behaviours(bed, [case.probe])
    _equal(case, "outcome", found.outcome, case.outcome)


_CHECKS: dict[str, Callable[[Testbed, PacketCase], None]] = {
    DELIVERED: _delivered,
    NOT_DELIVERED: _not_delivered,
    REFUSED: _refused,
    ANSWERED: _answered,
    NOT_ANSWERED: _answered,
    COUNTED: _counted,
    BEHAVES: _behaves,
}


def _by_kernel(bed: Testbed, case: PacketCase) -> bool:
    return case.origin == bed.topology.host


def _arrivals_of_the_kernels(bed: Testbed, case: PacketCase) -> list[str]:
    """Return the destinations of the packets that arrive when the sender's own kernel sends the question."""
    receiver = bed.endpoint(case.at)
    bed.send_from_kernel(case.origin, case.protocol, (case.address, case.port))
    return [packet.to for packet in receiver.arrivals() if _is_question(case, packet)]


def _is_question(case: PacketCase, packet: Packet) -> bool:
    if case.protocol == ICMP:
        return packet.icmp in _ECHO_REQUESTS
    return packet.protocol == case.protocol and packet.flags == ("S" if case.protocol == TCP else "")


def _send(bed: Testbed, case: PacketCase) -> PacketResult:
    """Send the packet from the sender's scripted endpoint and return its result."""
    source = case.source or bed.endpoint(case.origin).address_towards(case.address)
    packet = _ip(source, case.address) / _contents(case, source)
    return bed.send(packet, case.origin, via=case.via or None)


def _contents(case: PacketCase, source: str) -> Any:
    if case.protocol == TCP:
        return layers.TCP(sport=_PORT, dport=case.port, flags=_FLAGS[case.state], seq=1000)
    if case.protocol == UDP:
        return layers.UDP(sport=_PORT, dport=case.port)
    return _echo(source, reply=False)


def _answer(case: PacketCase, seen: Packet) -> Any:
    """Return the receiver's positive answer to the packet as it arrived."""
    ports: dict[str, Any] = {"sport": seen.destination_port, "dport": seen.source_port}
    if case.protocol == TCP:
        contents: Any = layers.TCP(**ports, flags="SA", seq=2000, ack=1001)
    else:
        contents = layers.UDP(**ports) if case.protocol == UDP else _echo(seen.source, reply=True)
    return _ip(seen.destination, seen.source) / contents


def _error(case: PacketCase, seen: Packet) -> Any:
    """Return the receiver's `port unreachable` error about an IPv4 packet as it arrived."""
    ports: dict[str, Any] = {"sport": seen.source_port, "dport": seen.destination_port}
    quoted = _ip(seen.source, seen.destination) / (layers.TCP(**ports) if case.protocol == TCP else layers.UDP(**ports))
    return _ip(seen.destination, seen.source) / layers.ICMP(type=3, code=3) / layers.Raw(bytes(quoted))


def _ip(source: str, destination: str) -> Any:
    return layers.IPv6(src=source, dst=destination) if ":" in destination else layers.IP(src=source, dst=destination)


def _echo(address: str, reply: bool) -> Any:
    if ":" in address:
        return layers.ICMPv6EchoRequest(type=129 if reply else 128, id=_PORT, seq=1)
    return layers.ICMP(type=0 if reply else 8, id=_PORT, seq=1)


def _arrived(case: PacketCase, what: str, result: PacketResult, node: str) -> Packet:
    if result.arrived is None:
        raise AssertionError(f"{case.probe}: {what} does not arrive at {node}")
    _equal(case, f"{what} arrives at", result.delivered_to, node)
    return result.arrived


def _equal(case: PacketCase, what: str, found: object, expected: object) -> None:
    _expect(found == expected, case, f"{what}: {found!s}, expected {expected!s}")


def _expect(holds: bool, case: PacketCase, otherwise: str) -> None:
    if not holds:
        raise AssertionError(visible(f"{case.probe}: {otherwise}"))
