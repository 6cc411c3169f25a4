"""Answers about reachability, for a terminal and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from testbed.behaviour.regions.words import Words, place_of, rule_in_words
from testbed.exposure.asked import AnsweredRegion, ReachAnswer
from testbed.report.terminal import Text
from testbed.topology import Topology

_MOST = 8  # regions of stopped packets that are listed


def lines(answer: ReachAnswer, topology: Topology) -> Iterator[Text]:
    """Yield the answer, then each region with its rule and its witness."""
    passing, stopped = answer.passing, answer.stopped
    said = "open" if passing else "closed: no packet passes (proved)"
    if not passing and answer.unjudged:
        said = "no packet passes (proved, but for what is not judged)"
    yield Text.assemble(f"{answer.origin} to {answer.target}: ", (said, "bold red" if passing else "bold green"))
    if not answer.regions:
        yield Text("  No packet from there is sent to it: neither a published port nor its own address leads to it.")
    for one in passing:
        yield from _region(one, topology, "passes")
    if stopped:
        yield Text("The others:" if passing else "What stops them:")
    for one in stopped[:_MOST]:
        yield from _region(one, topology, one.region.ending.value)
    if len(stopped) > _MOST:
        yield Text(f"  {len(stopped) - _MOST} more regions, which --json lists")
    yield from (Text(f"Not judged: {text}") for text in answer.unjudged)


def _region(one: AnsweredRegion, topology: Topology, said: str) -> Iterator[Text]:
    rule, place = rule_in_words(one.region.reference), place_of(one.region.reference)
    by = f"   by {rule} ({place})" if rule else ""
    yield Text.assemble(
        "  ", (str(Words(one.region.description, one.version, topology)), "cyan"), f": {said}", (by, "dim")
    )
    if one.journey is not None:
        yield Text(f"    witness from {one.journey.origin}: {one.journey.sent}: {one.journey.end.place}")
    else:
        yield Text("    no node of the bed can send a packet of these")


def as_dict(answer: ReachAnswer, topology: Topology) -> dict[str, Any]:
    """Return a dict for JSON output."""
    return {
        "from": answer.origin,
        "to": answer.target,
        "open": bool(answer.passing),
        "regions": [
            {
                "ending": one.region.ending.value,
                "packets": one.region.count,
                "description": str(Words(one.region.description, one.version, topology)),
                "rule": rule_in_words(one.region.reference),
                "place": place_of(one.region.reference),
                "clauses": list(one.region.clauses),
                "witness": one.journey.as_dict() if one.journey is not None else None,
            }
            for one in answer.regions
        ],
        "not_judged": list(answer.unjudged),
    }
