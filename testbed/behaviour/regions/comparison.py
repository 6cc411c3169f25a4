"""Compare two rule sets over all packets: regions grouped by cause, and what the analysis does not judge."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from testbed.analysis.difference import Region, RulesetDifference, difference
from testbed.analysis.effects import Unjudged
from testbed.analysis.packets import LOCAL
from testbed.analysis.world import PacketKind
from testbed.behaviour.behaviour import LET_THROUGH, spoken
from testbed.behaviour.changed import ListedLine, changed, listed
from testbed.behaviour.difference import KINDS, Cause, Change
from testbed.behaviour.explanation import Explained
from testbed.behaviour.not_asked import NotAsked
from testbed.behaviour.regions.confirmation import Confirmed, confirmed
from testbed.behaviour.regions.disagreement import require_agreement
from testbed.behaviour.regions.wired import with_endpoints
from testbed.behaviour.regions.words import in_words, packet_in_words, place_of, rule_in_words
from testbed.behaviour.table import Row
from testbed.behaviour.variant import RulesetVariant
from testbed.behaviour.witness import ProbeJourneys
from testbed.docker import DockerHost, article
from testbed.docker.fitted import fitted
from testbed.docker.guess import Guess
from testbed.kernel.backends import backend_for
from testbed.kernel.programs import LEGACY
from testbed.observe.journey import DELIVERED, DROPPED, LOCAL_INPUT, Journey
from testbed.rules import AnyRuleset, environment
from testbed.rules.reference import RuleReference
from testbed.topology import Topology

_PACKETS = list(PacketKind)
_INTERFACES = re.compile(r'(?:^| )(?:-i|-o|[io]if(?:name)?)(?: !=)? "?([\w.@+*-]+)')


@dataclass(frozen=True, slots=True)
class RegionChange(Change):
    """A region as a change: its description in place of a probe, the outcomes of its witness."""

    confirmed: Confirmed

    @property
    def packets(self) -> int:
        return self.confirmed.region.count

    @property
    def places(self) -> tuple[str, str]:
        region = self.confirmed.region
        return place_of(region.old), place_of(region.new)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return sentences on the witness: the packet, and why it could not be sent as the region asks."""
        region, ways = self.confirmed.region, self.confirmed.ways
        header = region.witness.packet.later or region.witness.packet.first
        question = next((way.question for way in ways if way.question is not None), None)
        sent = f"{question.sent}{packet_in_words(header)}" if question is not None else ""
        said = [f"witness from {question.origin}: {sent}"] if question is not None else []
        why = self.confirmed.unconfirmed
        return (*said, *([f"not confirmed by a packet: {why}"] if why else []))


@dataclass(frozen=True, slots=True)
class NotJudged(NotAsked):
    """A line about which the analysis does not decide."""

    label: ClassVar[str] = "not judged"


@dataclass(frozen=True, slots=True)
class ExactComparison:
    """The regions that differ, by cause, and the lines about which the analysis does not decide.

    `host` is the host that was compared on, `guesses` are what was added to it. `remarks` are sentences on what the
    rules name and the bed lacks.
    """

    host: DockerHost
    causes: tuple[Explained, ...]
    lines: tuple[NotJudged, ...]
    remarks: tuple[str, ...] = ()
    guesses: tuple[Guess, ...] = ()
    sentences: tuple[str, ...] = ()
    compared: None = None  # no probes: all packets

    @property
    def found(self) -> tuple[Change, ...]:
        """Return the regions as changes, in the order of their causes."""
        return tuple(change for cause in self.causes for change in cause.cause.changes)

    @property
    def open(self) -> bool:
        """Return whether something was not judged."""
        return bool(self.lines or self.sentences)


def compare_exactly(
    host: DockerHost, described: bool, sides: Sequence[RulesetVariant], allowed: Collection[str] = ()
) -> ExactComparison:
    """Compare two rule sets over all packets, and send a witness of each region through both.

    `described`: the host is the user's own, so that rules add nothing to it but IPv6. `allowed` are intended changes,
    as `str(Change)` prints them. Raises AnalysisError, Disagreement, and what a bed and tracing raise.
    """
    rules = [side.rules for side in sides]
    on = fitted(host, rules, described)
    plain = article.topology(on.host)
    topology = with_endpoints(environment.with_missing_bridges(plain, rules))
    nft = [backend_for(side.rules, side.backend).name != LEGACY for side in sides]
    found = difference(rules[0], rules[1], topology, (nft[0], nft[1]))
    kept = confirmed(topology, sides, found.regions)
    require_agreement(sides, topology, kept)
    changes = [_change(one, topology) for one in kept]
    causes = _grouped([change for change in changes if str(change) not in allowed], rules)
    remarks = environment.warnings(plain, rules)
    lines = [*_lines(found, rules), *_of_missing_interfaces(topology, rules, described)]
    return ExactComparison(on.host, tuple(causes), tuple(lines), tuple(remarks), on.guesses)


def _change(one: Confirmed, topology: Topology) -> RegionChange:
    region, words = one.region, in_words(one.region, topology)
    rows = [
        Row(words, _outcome(way), (rule_in_words(rule),) if rule is not None else ())
        for way, rule in zip(one.ways, (region.old, region.new), strict=True)
    ]
    return RegionChange(region.kind.value, rows[0], rows[1], one)


def _outcome(way: ProbeJourneys) -> str:
    """Return the outcome of a witness on one side."""
    journey = way.question
    if journey is None:
        return "is not sent: the kernel has no way there"
    end, seen, said = journey.end, journey.arrived, spoken(journey.answers)
    if end.kind == DELIVERED and seen is not None:
        hidden = "" if seen.source == journey.sent.source else f" from {seen.source}"
        return f"reaches {end.where} at {seen.to}{hidden}"
    if end.kind == DROPPED:
        return f"is rejected with {said}" if said else "is dropped"
    if end.kind == LOCAL_INPUT:
        return f"reaches {end.where} itself{f', answered by {said}' if said else ''}"
    return _left(journey) or f"is lost: {end.why}"


def _left(journey: Journey) -> str:
    """Return by which interface a packet left that no node of the bed got; empty if it did not leave."""
    hooks = [hook for passed, hook in journey.hooks if passed.node == "host"]
    if not hooks or hooks[-1].hook != "POSTROUTING" or hooks[-1].after is None:
        return ""
    after = hooks[-1].after
    hidden = "" if after.source == journey.sent.source else f" from {after.source}"
    return f"{LET_THROUGH} by {hooks[-1].left} to {after.to}{hidden}"


def _grouped(changes: Sequence[RegionChange], rules: Sequence[AnyRuleset]) -> list[Explained]:
    """Group changes by the rule that only one side has, the gravest kind first, the plainest witness first."""
    words = [{(line.table, line.text) for line in listed(own)} for own in rules]
    groups: dict[tuple[object, ...], list[RegionChange]] = {}
    for change in sorted(changes, key=_plainness):
        groups.setdefault((change.kind, *_cause(change.confirmed.region, words)), []).append(change)
    found = sorted(groups.values(), key=lambda group: (KINDS.index(group[0].kind), _plainness(group[0])))
    return [_explained(group) for group in found]


def _plainness(change: RegionChange) -> tuple[object, ...]:
    region = change.confirmed.region
    first = region.witness.packet.first
    ordinary = first.entered not in (LOCAL, "docker0") and not first.entered.startswith("br-")
    return _PACKETS.index(region.packet), bool(change.confirmed.unconfirmed), not ordinary


def _cause(region: Region, words: Sequence[set[tuple[str, str]]]) -> tuple[object, ...]:
    """Return the deciding rule that only one side has; both rules if there is none."""
    keys = [(one.table, one.text) if one is not None else None for one in (region.old, region.new)]
    for side, own in ((1, keys[1]), (0, keys[0])):
        if own is not None and own not in words[1 - side]:
            return side, own
    return tuple(keys)


def _explained(group: Sequence[RegionChange]) -> Explained:
    first = group[0]
    parted = [row.by[0] if row.by else "" for row in (first.old, first.new)]
    cause = Cause(first.kind, tuple(group), (parted[0], parted[1]))
    return Explained(cause, *first.confirmed.ways)


def _lines(found: RulesetDifference, rules: Sequence[AnyRuleset]) -> Iterable[NotJudged]:
    """Return the lines that the analysis does not judge, each once."""
    sides = [listed(own) for own in rules]
    lines: dict[tuple[int, ListedLine], list[str]] = {}
    for item in found.unjudged:
        for place in [_place(reference, sides, rules) for reference in item.references] or [_nowhere(item)]:
            lines.setdefault(place, []).append(_why(item))
    return [NotJudged(side, line, "; ".join(dict.fromkeys(why))) for (side, line), why in lines.items()]


def _of_missing_interfaces(topology: Topology, rules: Sequence[AnyRuleset], described: bool) -> Iterator[NotJudged]:
    """Yield the changed lines that name an interface which the host lacks; of a host that is `described` none."""
    present = {"lo", *(device.name for device in topology.node(topology.host).devices)}
    for side, lines in enumerate(changed(*rules) if not described else ()):
        for line in lines:
            missing = [name for name in _INTERFACES.findall(line.text) if not _is_there(name, present)]
            if missing:
                yield NotJudged(side, line, f"the host has no interface {', '.join(dict.fromkeys(missing))}")


def _is_there(name: str, present: Collection[str]) -> bool:
    start = name.rstrip("+*")
    return name in present or (start != name and any(one.startswith(start) for one in present))


def _place(
    reference: RuleReference, sides: Sequence[Sequence[ListedLine]], rules: Sequence[AnyRuleset]
) -> tuple[int, ListedLine]:
    """Return the side and the line of a rule, the new side's if both have it."""
    key = reference.table, reference.chain, reference.number, reference.line
    for side in (1, 0):
        for line in sides[side]:
            own = line.table, line.chain, line.number, line.line
            if own == key and reference.source in ("", line.file, rules[side].source):
                return side, line
    return 1, ListedLine(reference.table, reference.chain, reference.number, reference.text, reference.line)


def _nowhere(item: Unjudged) -> tuple[int, ListedLine]:
    return 1, ListedLine("", "", None, item.texts[0], 0)


def _why(item: Unjudged) -> str:
    texts = ", ".join(item.texts)
    return f"packets may be {item.kind} when {texts} matches" if item.kind else f"not modelled: {texts}"
