"""What is wrong with rules, for a terminal, for programs and for code scanning."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from testbed.analysis.lint import LintFinding, LintKind, LintResult
from testbed.behaviour.regions.words import place_of, rule_in_words
from testbed.report.exposure_files import header_as_dict
from testbed.report.sarif import NOTE, WARNING
from testbed.report.terminal import Text
from testbed.rules.reference import RuleReference
from testbed.visible import visible

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_DISTRIBUTION = "docker-host-testbed"
_LEVELS = {LintKind.DEAD: NOTE, LintKind.SHADOWED: WARNING, LintKind.REDUNDANT: NOTE, LintKind.OPENS: WARNING}


def lines(result: LintResult, source: str) -> Iterator[Text]:
    """Yield each finding with its rule and its proof, then what was not judged."""
    number = len(result.findings)
    yield Text(f"{source}: {number or 'no'} finding{'s' * (number != 1)} (proved over all packets)")
    for one in result.findings:
        yield Text.assemble((one.kind.value, "bold yellow"), f"  {rule_in_words(one.rule)} ({place_of(one.rule)})")
        yield Text(f"  {one.proof}")
        yield from (Text(f"    {rule_in_words(other)} ({place_of(other)})", style="dim") for other in one.others)
        if one.witness is not None:
            yield Text(f"  witness: {_witness(one)}")
    yield from (Text(f"Not judged: {', '.join(item.texts)}") for item in result.unjudged)


def _witness(one: LintFinding) -> str:
    assert one.witness is not None
    header = one.witness.first
    ports = f" port {header.second}" if header.ports is not None else ""
    return f"{header.source} > {header.destination}{ports}, protocol {header.protocol}, {header.length} bytes"


def as_dict(result: LintResult) -> dict[str, Any]:
    """Return a dict for JSON output."""
    return {
        "findings": [
            {
                "kind": one.kind.value,
                "rule": rule_in_words(one.rule),
                "place": place_of(one.rule),
                "proof": one.proof,
                "others": [{"rule": rule_in_words(other), "place": place_of(other)} for other in one.others],
                "witness": header_as_dict(one.witness.first) if one.witness is not None else None,
            }
            for one in result.findings
        ],
        "not_judged": [", ".join(item.texts) for item in result.unjudged],
    }


def sarif(result: LintResult, file: str) -> dict[str, Any]:
    """Return the findings as a SARIF log; `file` is the rules' file, empty for rules in no file."""
    kinds = list(LintKind)
    rules = [
        {
            "id": _id(kind),
            "shortDescription": {"text": f"A rule that is {kind.value}" if kind is not LintKind.OPENS else kind.value},
            "defaultConfiguration": {"level": _LEVELS[kind]},
        }
        for kind in kinds
    ]
    driver = {"name": _DISTRIBUTION, "semanticVersion": version(_DISTRIBUTION), "rules": rules}
    run = {"tool": {"driver": driver}, "results": [_result(one, file) for one in result.findings]}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(one: LintFinding, file: str) -> dict[str, Any]:
    text = visible(f"{rule_in_words(one.rule)}: {one.kind.value}: {one.proof}")
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {
        "ruleId": _id(one.kind),
        "level": _LEVELS[one.kind],
        "message": {"text": text},
        "locations": [_location(one.rule, file)],
        "relatedLocations": [_location(other, file) for other in one.others],
        "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint}:1"},
    }


def _location(rule: RuleReference, file: str) -> dict[str, Any]:
    name = f"{rule.table}/{rule.chain}"
    found: dict[str, Any] = {"logicalLocations": [{"name": rule.text, "fullyQualifiedName": name}]}
    if file:
        found["physicalLocation"] = {"artifactLocation": {"uri": quote(file), "uriBaseId": "%SRCROOT%"}}
        if rule.line:
            found["physicalLocation"]["region"] = {"startLine": rule.line}
    return found


def _id(kind: LintKind) -> str:
    return kind.value.replace(" ", "-")
