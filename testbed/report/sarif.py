"""Differences in behaviour as SARIF 2.1.0, which code scanning and editors read.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from testbed.behaviour.difference import KINDS, MEANINGS, MOVED, OPENED, decided
from testbed.behaviour.divergence import JourneyStep, steps
from testbed.behaviour.explanation import Explained
from testbed.behaviour.not_asked import NotAsked
from testbed.behaviour.witness import ProbeJourneys
from testbed.report.difference import TABLE, parting, step
from testbed.report.located import Source, Spot, spots
from testbed.visible import visible

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_DISTRIBUTION = "docker-host-testbed"
ERROR, WARNING, NOTE = "error", "warning", "note"


def log(found: Sequence[Explained], old: Source, new: Source, not_asked: Sequence[NotAsked] = ()) -> dict[str, Any]:
    """Return the log: a run with a result for each cause, and one for each line that is not judged."""
    driver = {
        "name": _DISTRIBUTION,
        "semanticVersion": version(_DISTRIBUTION),
        "rules": [*map(_kind, KINDS), *map(_open_kind, dict.fromkeys(one.label for one in not_asked))],
    }
    results = [_result(one, old, new) for one in found]
    results += [_open(one, (old, new)[one.side]) for one in not_asked]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _open_kind(label: str) -> dict[str, Any]:
    by = "the probes do" if label == NotAsked.label else "the analysis does"
    return {
        "id": _id(label),
        "name": label.title().replace(" ", ""),
        "shortDescription": {"text": label.capitalize()},
        "fullDescription": {"text": f"A rule that differs, and about which {by} not decide."},
        "defaultConfiguration": {"level": WARNING},
    }


def level(kind: str) -> str:
    """Return the level of a kind of change."""
    return {OPENED: ERROR, MOVED: NOTE}.get(kind, WARNING)


def sentence(one: Explained) -> str:
    """Describe a cause in a paragraph: the witness, its outcomes before and now, and the divergence."""
    witness, others = one.cause.witness, len(one.cause.changes) - 1
    pairs = zip((witness.old, witness.new), one.cause.parted, strict=True)
    before, now = (f"{row.outcome}, by {by}" if (by := decided(row, rule)) else row.outcome for row, rule in pairs)
    said = [f"{witness.probe}. Before: {before}. Now: {now}."]
    said += [f"{line[0].upper()}{line[1:].removesuffix('.')}." for line in parting(one)]
    said += [TABLE] if one.old is None or one.new is None else []
    said += [f"{note[0].upper()}{note[1:]}." for note in witness.notes]
    unit = "probe" if witness.packets is None else "region"
    said += [f"It stands for {others} more {unit}{'s' * (others > 1)}."] if others else []
    return " ".join(said)


def _kind(kind: str) -> dict[str, Any]:
    return {
        "id": _id(kind),
        "name": kind.title().replace(" ", ""),
        "shortDescription": {"text": f"{kind[0].upper()}{kind[1:]}"},
        "fullDescription": {"text": f"A packet {MEANINGS[kind]}."},
        "defaultConfiguration": {"level": level(kind)},
    }


def _id(kind: str) -> str:
    return kind.replace(" ", "-")


def _result(one: Explained, old: Source, new: Source) -> dict[str, Any]:
    blamed, *others = [*spots(one, old, new), None][:2]
    result: dict[str, Any] = {
        "ruleId": _id(one.cause.kind),
        "ruleIndex": KINDS.index(one.cause.kind),
        "level": level(one.cause.kind),
        "message": _message(sentence(one)),
        "locations": [_location(blamed)] if blamed is not None else [],
        "partialFingerprints": {"primaryLocationLineHash": f"{_fingerprint(one)}:1"},
        "properties": {"probes": [change.probe for change in one.cause.changes]},
    }
    if related := [_location(spot) for spot in others if spot is not None]:
        result["relatedLocations"] = related
    both = _flow("before", one.old, old, one), _flow("now", one.new, new, one)
    if flows := [flow for flow in both if flow["locations"]]:
        result["codeFlows"] = [{"threadFlows": flows}]
    return result


def _open(one: NotAsked, source: Source) -> dict[str, Any]:
    """Return the result for a line that is not judged."""
    own, name = one.line, f"{one.line.table}/{one.line.chain}"
    place: dict[str, Any] = {"logicalLocations": [{"name": own.text, "fullyQualifiedName": name}]}
    if source.file:
        artifact = {"uri": quote(source.file), "uriBaseId": "%SRCROOT%"}
        place["physicalLocation"] = {"artifactLocation": artifact}
        if own.line:
            place["physicalLocation"]["region"] = {"startLine": own.line}
    return {
        "ruleId": _id(one.label),
        "ruleIndex": len(KINDS),
        "level": WARNING,
        "message": {"text": f"{one.label.capitalize()}: {one.said(source.name)}"},
        "locations": [place],
    }


def _fingerprint(one: Explained) -> str:
    """Return a hash of a cause, without lines and numbers, which move, and without the witness, which may change.

    It is stored under the name of the one fingerprint that GitHub's code scanning reads.
    """
    outcomes = [row.outcome.split(" ")[0] for row in (one.cause.witness.old, one.cause.witness.new)]
    return hashlib.sha256("\n".join([one.cause.kind, *one.cause.parted, *outcomes]).encode()).hexdigest()[:16]


def _flow(name: str, way: ProbeJourneys | None, source: Source, one: Explained) -> dict[str, Any]:
    """Return a witness's journeys as steps: matched rules of the question and the answer, and the diverging step."""
    apart = one.parting.sides if one.parting is not None else ()
    gone = way.gone if way is not None else ()
    shown = [of for journey in gone for of in steps(journey) if of.matched or of in apart]
    return {"id": name, "message": _message(f"{name}: {source.name}"), "locations": list(_along(shown, source, apart))}


def _along(shown: Sequence[JourneyStep], source: Source, apart: Sequence[JourneyStep]) -> Iterator[dict[str, Any]]:
    for number, one in enumerate(shown, start=1):
        location = {**_location(Spot(source, one)), "message": _message(_said(one))}
        importance = "essential" if one in apart else "important"
        yield {"location": location, "executionOrder": number, "importance": importance}


def _message(text: str) -> dict[str, str]:
    """Return plain text with escaped brackets that would otherwise make a link (3.11.6)."""
    text = visible(text)
    return {"text": re.sub(r"[\[\]\\]", r"\\\g<0>", text) if "](" in text else text}


def _said(of: JourneyStep) -> str:
    return f"{of.place}: {step(of)}" if of.place else step(of)


def _location(spot: Spot) -> dict[str, Any]:
    """Return the location in a file, if there is one, and in a chain."""
    of, line = spot.step, spot.line
    number = f"/{of.asked.number}" if of.asked is not None else ""
    name = f"{of.table}/{of.chain}{number}" if of.table else of.text
    found: dict[str, Any] = {"logicalLocations": [{"name": of.text, "fullyQualifiedName": name}]}
    if spot.source.file:
        physical: dict[str, Any] = {
            "artifactLocation": {"uri": quote(spot.source.file, errors="surrogateescape"), "uriBaseId": "%SRCROOT%"}
        }
        if line:
            physical["region"] = {"startLine": line}
        found["physicalLocation"] = physical
    return found
