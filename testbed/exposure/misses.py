"""Rules that were meant to close a port and do not: the classic misses, each with a corrected rule that is proved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from testbed.analysis.judged import conceivable
from testbed.analysis.reachability import Reachability
from testbed.analysis.rules import AnalysedChain, AnalysedRule, Decide, Return, Verdict
from testbed.analysis.space import empty
from testbed.analysis.vector import PacketSet
from testbed.errors import TestbedError
from testbed.exposure.columns import ColumnKind, columns
from testbed.exposure.made import ExposureStand
from testbed.exposure.matrix import MatrixBuilder
from testbed.exposure.rows import ExposureRow, rows
from testbed.exposure.services import translated_services
from testbed.rules.reference import RuleReference

_USER = "DOCKER-USER"
_PORT = re.compile(r"(?<!\S)--dport (\d+)(?!\S)")
_INTERFACE = re.compile(r"(?<!! )(?<!\S)-i (\S+)")
_ADDRESS4 = re.compile(r"\b\d+\.\d+\.\d+\.\d+\b")
_ANSWERS = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
Cells = dict[tuple[str, str, int], PacketSet]


class MissKind(Enum):
    """Why a rule does not close what it was meant to close."""

    INPUT = "INPUT is never asked about a published port, which is translated and forwarded"
    HOST_PORT = "behind the translation a packet has the container's port, not the host's"
    NO_HOOK = "no chain leads to DOCKER-USER here, so no packet meets it"
    BEHIND = "a rule before it ends the way of every packet"
    NO_INTERFACE = "the host has no such interface, so no packet comes in by it"
    IPV4_ONLY = "the port is open in IPv6, which other rules are for"
    ANSWERS = "it drops the answers of connections that it was not meant for"


@dataclass(frozen=True, slots=True)
class Miss:
    """A rule that misses, and the corrected one with its table and chain; '' where none was proved."""

    kind: MissKind
    reference: RuleReference
    table: str = ""
    chain: str = ""
    corrected: str = ""


def misses(stand: ExposureStand) -> tuple[Miss, ...]:
    """Return the rules of a stand that close nothing of what they name, with rules that do."""
    return tuple(dict.fromkeys(_Finder(stand).found()))


class _Finder:
    """Looks for misses in one rule set."""

    def __init__(self, stand: ExposureStand) -> None:
        self._stand = stand
        self._reachability = Reachability(stand.rules, stand.topology)
        self._columns = columns(stand.topology, stand.host)
        self._rows = rows(stand.topology, stand.host, translated_services(self._reachability, stand.host))
        self._before = self._delivered(self._reachability)
        self._interfaces = self._reachability.world.interfaces.names
        self._uplinks = [column.origin.entered for column in self._columns if column.kind is ColumnKind.LAN]

    def _delivered(self, reachability: Reachability) -> Cells:
        """Return the packets from outside that reach each service and are answered."""
        builder = MatrixBuilder(reachability, self._stand.topology)
        places = (place for row in self._rows for place in row.target.ends)
        reachability.only((column.origin for column in self._columns), places)
        host = next(column for column in self._columns if column.kind is ColumnKind.HOST)
        return {
            (row.key, column.key, version): conceivable(reachability.world, sets.delivered)
            for row in self._rows
            for column in self._columns
            for version in column.versions
            if column.outside and row.port is not None and not row.on_host
            if (sets := builder.sets_of(row, column, version, host)) is not None
        }

    def found(self) -> Iterator[Miss]:
        for chain in self._reachability.program.chains:
            if chain.name in (_USER, "INPUT", "FORWARD"):
                yield from self._of_chain(chain)

    def _of_chain(self, chain: AnalysedChain) -> Iterator[Miss]:
        ended = False
        for rule in chain.rules:
            closes = any(isinstance(one, Decide) and one.verdict is not Verdict.ACCEPT for one in rule.actions)
            if closes and (_PORT.search(rule.reference.text) or _INTERFACE.search(rule.reference.text)):
                yield from self._of_rule(chain, rule, ended)
            ended = ended or (not rule.clauses and any(isinstance(one, Return | Decide) for one in rule.actions))

    def _of_rule(self, chain: AnalysedChain, rule: AnalysedRule, ended: bool) -> Iterator[Miss]:
        reference, spec = rule.reference, _spec(rule.reference)
        published = self._published(spec)
        if chain.name == _USER and not self._entered(chain):
            yield Miss(MissKind.NO_HOOK, reference)
        elif ended:
            yield from self._proved(MissKind.BEHIND, reference, chain.name, [spec])
        elif (name := self._absent(spec)) and self._uplinks:
            fixed = [spec.replace(f"-i {name}", f"-i {uplink}") for uplink in self._uplinks]
            yield from self._proved(MissKind.NO_INTERFACE, reference, chain.name, fixed)
        elif chain.name == "INPUT" and published:
            yield from self._proved(MissKind.INPUT, reference, _USER, self._forwarded(spec, published))
        elif chain.name != "INPUT" and published and not self._serves(spec):
            yield from self._proved(MissKind.HOST_PORT, reference, chain.name, self._forwarded(spec, published))
        elif chain.name == _USER and reference.table == "filter" and not _ADDRESS4.search(spec):
            yield from self._proved(MissKind.IPV4_ONLY, reference, _USER, [spec], "ip6 filter")
        if any(fate.reference == reference for fate in self._reachability.replies.fates):
            yield from self._proved(MissKind.ANSWERS, reference, chain.name, [_ANSWERS], opening=True)

    def _published(self, spec: str) -> list[ExposureRow]:
        """Return the services that are published on the port that a rule names, and asked at another one."""
        port = _port(spec)
        return [row for row in self._rows if any(own.host == port for own in row.published)]

    def _serves(self, spec: str) -> bool:
        """Return whether any container has a service on the port that a rule names."""
        return any(row.port == _port(spec) and not row.on_host for row in self._rows)

    def _entered(self, chain: AnalysedChain) -> bool:
        return any(
            getattr(action, "chain", "") == chain.name
            for other in self._reachability.program.chains
            if other.table == chain.table
            for rule in other.rules
            for action in rule.actions
        )

    def _absent(self, spec: str) -> str:
        found = _INTERFACE.search(spec)
        name = found[1] if found is not None else ""
        return name if name and not name.endswith("+") and name not in self._interfaces else ""

    def _forwarded(self, spec: str, published: list[ExposureRow]) -> list[str]:
        """Return the rule with the container's port, for what comes in by an uplink."""
        made = []
        for row in published:
            own = _PORT.sub(f"--dport {row.port}", spec)
            made += [own] if "-i " in own else [f"-i {uplink} {own}" for uplink in self._uplinks]
        return made

    def _proved(
        self,
        kind: MissKind,
        reference: RuleReference,
        chain: str,
        specs: list[str],
        table: str = "",
        opening: bool = False,
    ) -> Iterator[Miss]:
        """Yield a miss with the first of these rules that closes something from outside and opens nothing.

        With `opening` it is one that lets answers through. Without such a rule the rule in question misses nothing.
        """
        where = table or reference.table
        for spec in specs:
            try:
                rules = self._stand.rules.as_iptables
                changed = rules.insert(where, chain, spec) if rules is not None else None
            except TestbedError:  # there is no such chain
                continue
            if changed is not None and self._helps(replace(self._stand, rules=changed), opening):
                yield Miss(kind, reference, where, chain, spec)
                return

    def _helps(self, stand: ExposureStand, opening: bool) -> bool:
        after = self._delivered(Reachability(stand.rules, self._stand.topology, self._reachability.world))
        grown = any(not empty(after[key] & ~packets) for key, packets in self._before.items())
        shrunk = any(not empty(packets & ~after[key]) for key, packets in self._before.items())
        return grown and not shrunk if opening else shrunk and not grown


def _spec(reference: RuleReference) -> str:
    """Return a rule's text behind its chain."""
    return reference.text.removeprefix(f"-A {reference.chain} ")


def _port(spec: str) -> int | None:
    found = _PORT.search(spec)
    return int(found[1]) if found is not None else None
