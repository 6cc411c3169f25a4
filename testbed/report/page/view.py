"""A story as the page shows it: packets, the stations of their journeys, and the steps there, with their links."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby

from testbed.claims import Claim
from testbed.kernel.conntrack import Connection
from testbed.observe.header import TracedHeader
from testbed.observe.journey import (
    DELIVERED,
    LOCAL_INPUT,
    ChainTraversal,
    HookTraversal,
    Journey,
    NodeTraversal,
    RuleEvaluation,
)
from testbed.report.page.counting import Count, PacketCounts
from testbed.report.page.layout import Layout, Point
from testbed.report.page.map_svg import svg
from testbed.rules.ruleset import Table
from testbed.traced_connection import CountedJourney, Story
from testbed.traffic.packet import Packet

_AFTER_ROUTING = ("INPUT", "FORWARD", "OUTPUT")
HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
MATCHED, FAILED, NOT_REACHED = "matched", "failed", "not reached"
_SPEAKS_OF = {"first packet": "SYN", "second packet": "SYN/ACK", "third packet": "ACK"}  # sections of the article


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule of a chain; `words` are its text before, in and after the failed clause; `id` is its step's."""

    id: str
    number: int
    outcome: str
    words: tuple[str, str, str]
    verdict: str
    count: Count | None
    into: ChainView | None


@dataclass(frozen=True, slots=True)
class ChainView:
    """A chain with all of its rules; `policy` is the verdict of its policy if it decided, with its step's id."""

    table: str
    name: str
    rules: tuple[RuleView, ...]
    end: str
    policy: str = ""
    id: str = ""
    count: Count | None = None


@dataclass(frozen=True, slots=True)
class MapPath:
    """The last points of a journey's path on a map."""

    places: tuple[Point, ...]

    def __str__(self) -> str:
        """Return the points for the script that moves the packet: `x y turns; x y turns`."""
        return "; ".join(f"{place} {place.turns}" for place in self.places)


@dataclass(frozen=True, slots=True)
class Station:
    """A place on the journey. Its description is a step; so is each rule evaluated there, and each change.

    `name` is a hook's, or `sent`, `crossed`, `routed`, `ended`. `ways` are the points on the path to it, and its own,
    on each of the maps. `from_` and `to` are the header's addresses before it, `left_as` those after it if they differ.
    `state` is connection tracking's state, at the last station the kind of the end. `skipped_nat_chains` are sentences.
    """

    id: str
    name: str
    node: str
    says: str
    ways: tuple[MapPath, ...]
    from_: str
    to: str
    state: str = ""
    skipped_nat_chains: tuple[str, ...] = ()
    chains: tuple[ChainView, ...] = ()
    changes: tuple[str, ...] = ()
    left_as: tuple[str, str] | None = None
    change_id: str = ""

    @property
    def is_hook(self) -> bool:
        return self.name in HOOKS

    @property
    def behind(self) -> tuple[str, str]:
        """Return the packet's source and destination when it leaves."""
        return self.left_as or (self.from_, self.to)


@dataclass(frozen=True, slots=True)
class Column:
    """A hook of a node in the diagram above the rules; an unvisited hook has no station."""

    name: str
    station: Station | None


@dataclass(frozen=True, slots=True)
class HookDiagram:
    """The diagram of a node's hooks in the order of the packet flow; `connection` is the node's tracking entry."""

    node: str
    columns: tuple[Column, ...]
    connection: Connection | None


@dataclass(frozen=True, slots=True)
class PacketView:
    """A packet with its journey; `closed` are the chains that it did not enter, with the number of their rules."""

    id: str
    journey: Journey
    stations: tuple[Station, ...]
    flows: tuple[HookDiagram, ...]
    closed: tuple[tuple[str, str, int], ...]
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class StoryView:
    """A story; `conversations` are its packets, grouped by connection; `maps` a wide and a narrow one."""

    id: str
    story: Story
    maps: tuple[str, ...]
    conversations: tuple[tuple[PacketView, ...], ...]

    @property
    def packets(self) -> Iterator[PacketView]:
        return (packet for conversation in self.conversations for packet in conversation)


def view(story: Story, number: int, claims: Sequence[Claim] = ()) -> StoryView:
    """Return the view of a story; `claims` concern its packets."""
    identity = f"story-{number}"
    layouts = (Layout(story.topology), Layout(story.topology, narrow=True))
    names = _names([followed.journey.sent.kind for followed in story.packets])
    packets = [
        _Teller(story, layouts, followed, f"{identity}-{name}").packet(_about(claims, followed.journey.sent))
        for followed, name in zip(story.packets, names, strict=True)
    ]
    maps = tuple(svg(layout, kind) for layout, kind in zip(layouts, ("wide-map", "narrow-map"), strict=True))
    together = groupby(packets, key=lambda packet: _connection(packet.journey))
    return StoryView(identity, story, maps, tuple(tuple(conversation) for _, conversation in together))


def _names(kinds: Sequence[str]) -> list[str]:
    """Return the packets' names in links: `syn`; if there are several, `syn-1`, `syn-2`."""
    slugs = [re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-") for kind in kinds]
    total, seen = Counter(slugs), Counter[str]()
    names = []
    for slug in slugs:
        seen[slug] += 1
        names.append(slug if total[slug] == 1 else f"{slug}-{seen[slug]}")
    return names


def _about(claims: Iterable[Claim], packet: Packet) -> tuple[Claim, ...]:
    """Return the claims whose section concerns a packet of that kind."""

    def told(claim: Claim) -> bool:
        parts = (part.partition(",")[0].strip() for part in claim.section.split(";"))
        return any(_SPEAKS_OF.get(part) == packet.kind for part in parts)

    return tuple(claim for claim in claims if told(claim))


def _connection(journey: Journey) -> str:
    """Return a key that is equal for packets of one connection."""
    if journey.connection is not None:
        return str(journey.connection.original)
    return f"{journey.sent.from_} > {journey.sent.to}"


class _Teller:
    """Describes one packet's journey, with consecutive numbers for its steps."""

    def __init__(self, story: Story, layouts: tuple[Layout, ...], followed: CountedJourney, identity: str) -> None:
        self._story, self._layouts, self._journey = story, layouts, followed.journey
        self._identity = identity
        self._counts = PacketCounts(followed)
        self._numbers = count(1)

    def packet(self, claims: tuple[Claim, ...]) -> PacketView:
        journey = self._journey
        stations, flows = [self._sent()], []
        for passed in journey.passes:
            there = list(self._through(passed, stations[-1]))
            stations += there
            if passed.hooks:
                tracked = journey.connection if passed.node == self._story.topology.host else None
                flows.append(HookDiagram(passed.node, tuple(_columns(there)), tracked))
        stations.append(self._end(stations[-1]))
        return PacketView(self._identity, journey, tuple(stations), tuple(flows), tuple(self._closed()), claims)

    def _step(self) -> str:
        return f"{self._identity}-{next(self._numbers)}"

    def _sent(self) -> Station:
        sent, origin = self._journey.sent, self._journey.origin
        said = f"{origin} sends {sent.kind}, {sent.length} bytes"
        return Station(self._step(), "sent", origin, said, self._ways(origin, origin), sent.from_, sent.to)

    def _through(self, passed: NodeTraversal, before: Station) -> Iterator[Station]:
        """Yield the stations in one node, after the one before it."""
        node = passed.node
        if not passed.hooks:
            yield Station(self._step(), "crossed", node, f"crosses {node}", self._ways(node, node), *before.behind)
        came_from, routed = before.node, False
        for hook in passed.hooks:
            if hook.hook in _AFTER_ROUTING and not routed:
                routed = True
                header = (hook.header.from_, hook.header.to)
                yield Station(self._step(), "routed", node, passed.routed, self._ways(came_from, node), *header)
                came_from = node
            yield self._hook(came_from, node, hook)
            came_from = node

    def _hook(self, came_from: str, node: str, hook: HookTraversal) -> Station:
        at = {"PREROUTING": hook.entered, "POSTROUTING": hook.left}.get(hook.hook, "")
        after: TracedHeader | None = hook.after if hook.translations else None
        return Station(
            self._step(),
            hook.hook,
            node,
            _entering(hook),
            self._ways(came_from, node, at),
            hook.header.from_,
            hook.header.to,
            state=f"{hook.state} {'↩ reply' if hook.reply else '→ original'}" if hook.state else "not tracked",
            skipped_nat_chains=_passed_over(hook),
            chains=tuple(self._chain(chain) for chain in hook.chains),
            changes=hook.translations,
            left_as=(after.from_, after.to) if after is not None else None,
            change_id=self._step() if after is not None else "",
        )

    def _end(self, last: Station) -> Station:
        journey = self._journey
        end = journey.end
        arrives = end.kind in (DELIVERED, LOCAL_INPUT)
        ways = self._ways(last.node, end.where) if arrives else last.ways
        return Station(self._step(), "ended", end.where, str(end), ways, *last.behind, state=end.kind)

    def _ways(self, came_from: str, node: str, device: str = "") -> tuple[MapPath, ...]:
        """Return the path from another node, or from the same node, to a device of a node or into the node."""
        passed = [(layout.between(came_from, node), layout.place(node, device)) for layout in self._layouts]
        return tuple(MapPath(tuple(place for place in places if place is not None)) for places in passed)

    # Chains.

    def _chain(self, chain: ChainTraversal) -> ChainView:
        rules = (*(asked.rule for asked in chain.asked), *chain.not_reached)
        counts = self._counts.chain(chain.table, rules)
        asked = [self._asked(one, counts[one.number - 1]) for one in chain.asked]
        first = chain.asked[-1].number + 1 if chain.asked else 1
        behind = [
            RuleView("", number, NOT_REACHED, (rule.spec, "", ""), "", counts[number - 1], None)
            for number, rule in enumerate(chain.not_reached, start=first)
        ]
        return ChainView(
            chain.table,
            chain.chain,
            (*asked, *behind),
            chain.end,
            chain.policy,
            self._step() if chain.policy else "",
            self._counts.policy(chain.table, chain.chain, chain.policy) if chain.policy else None,
        )

    def _asked(self, asked: RuleEvaluation, counted: Count | None) -> RuleView:
        identity = self._step()
        spec, failed = asked.rule.spec, asked.failed
        start, end = (failed.start, failed.end) if failed is not None else (len(spec), len(spec))
        words = (spec[:start], spec[start:end], spec[end:])
        outcome = MATCHED if asked.matched else FAILED
        into = self._chain(asked.into) if asked.into is not None else None
        return RuleView(identity, asked.number, outcome, words, asked.verdict, counted, into)

    def _closed(self) -> Iterator[tuple[str, str, int]]:
        entered = {(chain.table, chain.chain) for chain in self._entered()}
        for table in self._story.rules.tables:
            for chain in table.chains if self._concerns(table) else ():
                if (table.name, chain.name) not in entered:
                    yield table.name, chain.name, len(table.rules_of(chain.name))

    def _concerns(self, table: Table) -> bool:
        """Return whether packets of this IP version pass the table; nftables' `inet` is for both."""
        of_both = table.name.startswith("inet ")
        return of_both or table.of_ipv6 == (":" in self._journey.sent.source)

    def _entered(self) -> Iterator[ChainTraversal]:
        for _, hook in self._journey.hooks:
            for chain in hook.chains:
                yield chain
                yield from (asked.into for _, asked in chain.every if asked.into is not None)


def _entering(hook: HookTraversal) -> str:
    devices = [f"in by {hook.entered}"] if hook.entered else []
    devices += [f"out by {hook.left}"] if hook.left else []
    return ", ".join(devices)


def _passed_over(hook: HookTraversal) -> tuple[str, ...]:
    known = hook.state in ("ESTABLISHED", "RELATED")
    why = "the connection is known, its translation is kept" if known else "the packet belongs to no connection"
    return tuple(f"{chain} is passed over: {why}." for chain in hook.skipped_nat_chains)


def _columns(stations: Sequence[Station]) -> Iterator[Column]:
    """Yield the hooks in their order; the routing decision comes after PREROUTING."""
    visited = {station.name: station for station in stations}
    for name in (HOOKS[0], "routed", *HOOKS[1:]):
        yield Column(name, visited.get(name))
