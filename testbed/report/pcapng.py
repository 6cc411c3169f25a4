"""Captured frames as a pcapng file for Wireshark and tshark: an interface for each link, comments for each frame.

A frame's comments say what the node that it goes to does with it: hook by hook the rule or policy that decided, with
its place, what NAT changed, and how the packet ended. `frame.comment contains "DROP"` finds the frame of a packet that
a rule or a policy dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter

from testbed.errors import TestbedError
from testbed.observe.header import TracedHeader, cookie_of
from testbed.observe.journey import DROP, ChainTraversal, HookTraversal, Journey, RuleEvaluation
from testbed.observe.link_capture import LinkFrame
from testbed.rules.places import Places, places
from testbed.rules.ruleset import AnyRuleset
from testbed.topology import Link
from testbed.visible import visible

_ETHERNET = 14  # bytes of a frame's header
_LINKTYPE_ETHERNET = 1
_MAX_FAILED = 5  # failed clauses before a drop


class _RulePlaces:
    """The places of rules, as text: their file and line, or nothing for rules that are in no file."""

    def __init__(self, rules: AnyRuleset) -> None:
        self._file = rules.source if Path(rules.source).is_file() else ""
        self._lines: Places = places(rules) if self._file else {}

    def of(self, table: str, chain: str, number: int | None) -> str:
        known = self._lines.get((table, chain))
        line = known.line(number) if known is not None else 0
        return f" ({self._file}:{line})" if line else ""


def write(path: str, frames: Sequence[LinkFrame], journeys: Iterable[Journey], rules: AnyRuleset) -> int:
    """Write the frames to a file; return their number. Raises TestbedError where the file cannot be written."""
    try:
        writer = _writer(path)
    except OSError as error:
        raise TestbedError(f"{path} cannot be written: {error.strerror}.", "Name another file.") from error
    with writer:
        for frame, said in zip(frames, _comments(frames, journeys, _RulePlaces(rules)), strict=True):
            packet = Ether(frame.data)
            packet.time = frame.at / 1e9
            packet.sniffed_on = _name(frame.link)
            packet.comments = [line.encode() for line in said]
            writer.write(packet)
    return len(frames)


def _writer(path: str) -> PcapNgWriter:
    """Return a writer without the nameless interface that scapy begins a file with."""
    writer = PcapNgWriter(path)
    writer.linktype = _LINKTYPE_ETHERNET
    writer._write_block_shb()
    writer.header_present = True
    writer.interfaces2id = {None: -1}
    return writer


def _name(link: Link) -> str:
    return f"{link.a} - {link.b}"


def _comments(frames: Sequence[LinkFrame], journeys: Iterable[Journey], at: _RulePlaces) -> Iterator[list[str]]:
    """Yield the comments of each frame: what its receiver does with it, or its sender where that is the first node."""
    told = {cookie_of(journey.sent): _ToldJourney(journey, at) for journey in journeys}
    for frame in frames:
        one = told.get(TracedHeader.of(frame.data[_ETHERNET:]).cookie)
        yield [visible(line) for line in one.of(frame)] if one is not None else []


class _ToldJourney:
    """What is still to be said of one journey, each thing at one frame."""

    def __init__(self, journey: Journey, at: _RulePlaces) -> None:
        self._journey = journey
        self._at = at
        self._passes = list(journey.passes)
        self._begun = False

    def of(self, frame: LinkFrame) -> Iterator[str]:
        journey = self._journey
        if not self._begun:
            self._begun = True
            yield f"{journey.sent.kind} of {journey.origin}, {journey.sent.from_} > {journey.sent.to}"
            yield from self._pass(journey.origin)
        yield from self._pass(frame.receiver)
        if frame.receiver == journey.end.where and not self._passes:
            yield str(journey.end)

    def _pass(self, node: str) -> Iterator[str]:
        if self._passes and self._passes[0].node == node:
            for hook in self._passes.pop(0).hooks:
                yield _hook(node, hook, self._at)


def _hook(node: str, hook: HookTraversal, at: _RulePlaces) -> str:
    state = f" {hook.state}" if hook.state else ""
    said = [_chain(chain, at) for chain in hook.chains]
    return f"{node} {hook.hook}{state}: {'; '.join([*said, *hook.translations]) or 'no rule'}"


def _chain(chain: ChainTraversal, at: _RulePlaces) -> str:
    """Return what decided in a base chain; of a drop also the last clauses that kept other rules from matching."""
    evaluated = list(chain.every)
    dropped = chain.end.drops
    if chain.policy or not evaluated:
        said = f"{chain.table} {chain.chain} {chain.end}{at.of(chain.table, chain.chain, None)}"
    else:
        matched = [one for one in evaluated if one[1].matched] or evaluated
        said = f"{_rule(*matched[-1], at)}: {DROP if dropped else chain.end.upper()}"
    failed = [_failed(*one, at) for one in evaluated if one[1].failed is not None] if dropped else []
    return ", ".join([said, *failed[-_MAX_FAILED:]])


def _rule(chain: ChainTraversal, one: RuleEvaluation, at: _RulePlaces) -> str:
    return f"{chain.table} {chain.chain} {one.number} {one.rule.spec}{at.of(chain.table, chain.chain, one.number)}"


def _failed(chain: ChainTraversal, one: RuleEvaluation, at: _RulePlaces) -> str:
    clause = one.failed.text if one.failed is not None else ""
    return f"failed {clause} of {chain.chain} {one.number}{at.of(chain.table, chain.chain, one.number)}"
