"""Hold the witnesses of regions against the kernel: each is sent through a bed of both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from testbed.analysis.difference import DifferenceKind, Region
from testbed.analysis.fates import End
from testbed.analysis.packets import WITH_PORTS
from testbed.analysis.plain import ExpectedEnd, PlainPacket
from testbed.analysis.world import PacketKind
from testbed.bed import Testbed
from testbed.behaviour.behaviour import spoken
from testbed.behaviour.regions.connection import NotBuilt, WitnessConnection, silent_ports
from testbed.behaviour.regions.sending import WitnessSender
from testbed.behaviour.static_neighbours import add_static_neighbours
from testbed.behaviour.variant import RulesetVariant
from testbed.behaviour.witness import ProbeJourneys
from testbed.kernel.devices import write_sysctls
from testbed.kernel.namespace import quarantine
from testbed.observe.journey import ChainTraversal, HookTraversal, Journey
from testbed.rules.places import places
from testbed.topology import Topology

_ERRORS_UNLIMITED = (("net.ipv4.icmp_ratemask", "0"), ("net.ipv4.icmp_msgs_per_sec", "1000000"))
_ERRORS_UNLIMITED6 = (("net.ipv6.icmp.ratemask", "0"),)
_NO_ECHO = (("net.ipv4.icmp_echo_ignore_all", "1"), ("net.ipv6.icmp.echo_ignore_all", "1"))
_STOPPED = ("drop", "queue", "stolen")
_STATES = {
    PacketKind.REPEATED: "NEW",
    PacketKind.REPLY: "ESTABLISHED",
    PacketKind.LATER: "ESTABLISHED",
    PacketKind.ERROR: "RELATED",
    PacketKind.REPLY_ERROR: "RELATED",
}

Place = tuple[str, str, int | None]  # table, chain, number of a rule; None: the policy


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A region with its witness's journeys on both sides.

    `unconfirmed` says why the witness could not be sent as the region asks; empty if the kernel confirms the region.
    `disagreement` says where the kernel did not do what the analysis says; empty if it did.
    """

    region: Region
    ways: tuple[ProbeJourneys, ProbeJourneys]
    unconfirmed: str = ""
    disagreement: str = ""


@dataclass(frozen=True, slots=True)
class _SentWitness:
    way: ProbeJourneys
    unconfirmed: str = ""
    disagreement: str = ""


def confirmed(topology: Topology, sides: Sequence[RulesetVariant], regions: Sequence[Region]) -> list[Confirmed]:
    """Send the witness of each region through a bed of each side; raise what a bed and tracing raise."""
    if not regions:
        return []
    with quarantine(), ExitStack() as opened:
        beds = [opened.enter_context(Testbed(topology, side.rules, side.backend)) for side in sides]
        old, new = (list(_sent(bed, regions, number)) for number, bed in enumerate(beds))
    return [_joined(*three) for three in zip(regions, old, new, strict=True)]


def _joined(region: Region, old: _SentWitness, new: _SentWitness) -> Confirmed:
    unconfirmed = old.unconfirmed or new.unconfirmed
    disagreement = "" if unconfirmed else old.disagreement or new.disagreement
    if not unconfirmed and not disagreement and region.kind is DifferenceKind.ANSWERED:
        answers = [spoken(side.way.question.answers) if side.way.question else "" for side in (old, new)]
        unconfirmed = "the witness's sender got the same answers on both sides" if answers[0] == answers[1] else ""
    return Confirmed(region, (old.way, new.way), unconfirmed, disagreement)


def _sent(bed: Testbed, regions: Sequence[Region], side: int) -> Iterator[_SentWitness]:
    """Send all witnesses through one bed, each over a connection of its own."""
    bed.host.run(write_sysctls, (*_ERRORS_UNLIMITED, *_ERRORS_UNLIMITED6))
    add_static_neighbours(bed.host, bed.topology, _addresses(regions))
    quiet = False
    for number, region in enumerate(regions):
        if region.packet is not PacketKind.FIRST and not quiet:
            bed.host.run(write_sysctls, _NO_ECHO)
            quiet = True
        bed.forget_connections()
        with bed.tracing() as tracing:
            yield _one(bed, WitnessSender(bed, tracing), region, side, number)


def _addresses(regions: Sequence[Region]) -> set[str]:
    """Return the addresses to which a witness may be sent on a network of the host."""
    packets = [region.witness.packet for region in regions]
    headers = [header for packet in packets for header in (packet.first, packet.later) if header is not None]
    headers += [end.header for region in regions for end in region.witness.expected if end.header is not None]
    return {str(address) for header in headers for address in (header.source, header.destination)}


def _one(bed: Testbed, sender: WitnessSender, region: Region, side: int, number: int) -> _SentWitness:
    witness, expected = region.witness.packet, region.witness.expected[side]
    connection = WitnessConnection(sender, witness, number)
    try:
        with silent_ports(bed, witness, expected):
            journey = connection.send()
    except NotBuilt as error:
        return _SentWitness(ProbeJourneys(None), str(error))
    way = ProbeJourneys(journey, earlier=tuple(connection.earlier[:-1]))
    if (state := _other_state(journey, witness)) is not None:
        return _SentWitness(way, f"connection tracking calls the witness {state}, not {_STATES[witness.kind]}")
    return _SentWitness(way, "", _disagreement(bed, journey, expected))


def _host_hooks(journey: Journey) -> list[HookTraversal]:
    return [hook for passed, hook in journey.hooks if passed.node == "host"]


def _other_state(journey: Journey | None, witness: PlainPacket) -> str | None:
    """Return the state of a witness if its connection is not the one that the region asks for."""
    wanted = _STATES.get(witness.kind)
    states = [hook.state for hook in _host_hooks(journey) if hook.state] if journey is not None else []
    return next((state for state in states[:1] if wanted is not None and state not in (wanted, "UNTRACKED")), None)


def _disagreement(bed: Testbed, journey: Journey | None, expected: ExpectedEnd) -> str:
    """Return how the kernel contradicts the analysis; empty if it does not."""
    hooks = _host_hooks(journey) if journey is not None else []
    stopped = next((place for hook in hooks for chain in hook.chains if (place := _stop(chain))), None)
    last = hooks[-1] if hooks else None
    passed = last is not None and last.after is not None and last.hook in ("INPUT", "POSTROUTING", "EGRESS")
    if expected.end is End.CLOSED:
        rule = expected.rule
        wanted = (rule.table, rule.chain, rule.number) if rule is not None else None
        if stopped is not None and (stopped == wanted or _moved(bed, stopped, wanted)):
            return ""
        return f"the analysis says that {rule} stops it, the kernel {_said(stopped, journey)}"
    if expected.end is End.NO_WAY:
        if stopped is None and not passed:
            return ""
        return f"the analysis says that routing stops it, the kernel {_said(stopped, journey)}"
    if stopped is not None or not passed or last is None:
        return f"the analysis says that it passes, the kernel {_said(stopped, journey)}"
    return _other_end(last, expected)


def _other_end(last: HookTraversal, expected: ExpectedEnd) -> str:
    """Return how a packet that passed left otherwise than the analysis says."""
    header, after = expected.header, last.after
    left = "" if last.hook == "INPUT" else last.left
    if left not in (expected.left, *(["lo"] if not expected.left else [])):
        return f"the analysis says that it leaves by {expected.left or 'no interface'}, the kernel {left or 'none'}"
    if header is None or after is None or expected.drawn:
        return ""
    wanted: tuple[object, ...] = (str(header.source), str(header.destination))
    found: tuple[object, ...] = (after.source, after.destination)
    if header.protocol in WITH_PORTS and not header.fragment and after.whole and after.source_port:
        wanted, found = (*wanted, header.first, header.second), (*found, after.source_port, after.destination_port)
    return "" if wanted == found else f"the analysis says that it leaves as {wanted}, the kernel {found}"


def _stop(chain: ChainTraversal) -> Place | None:
    """Return the rule or policy of a base chain that stopped a packet."""
    if chain.dropped_by_policy:
        return chain.table, chain.chain, None
    if chain.end not in _STOPPED:
        return None
    of, asked = [(of, asked) for of, asked in chain.every if asked.matched][-1]
    return of.table, of.chain, asked.number


def _moved(bed: Testbed, stopped: Place, wanted: Place | None) -> bool:
    """Whether a rule has another number in the kernel, as iptables made several rules of one."""
    if wanted is None or stopped[:2] != wanted[:2] or None in (stopped[2], wanted[2]):
        return False
    given = places(bed.loaded).get((wanted[0], wanted[1]))
    if bed.loaded.as_iptables is None or given is None:
        return False
    return len(bed.words().table(wanted[0]).rules_of(wanted[1])) != len(given.rules)


def _said(stopped: Place | None, journey: Journey | None) -> str:
    if journey is None:
        return "sends nothing"
    return f"{journey.end} {stopped or ''}".strip()
