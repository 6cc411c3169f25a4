"""A matrix of exposure for programs: JSON, and SARIF 2.1.0 for its marks."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from testbed.analysis.plain import PlainHeader
from testbed.exposure.cells import ExposureCell, ExposureMatrix, Mark
from testbed.report.exposure import condition, name, rule, sentences
from testbed.report.sarif import ERROR, NOTE, WARNING
from testbed.rules.reference import RuleReference
from testbed.visible import visible

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_DISTRIBUTION = "docker-host-testbed"
_LEVELS = {
    Mark.INTERNET: NOTE,
    Mark.IPV6_ONLY: ERROR,
    Mark.BYPASS: ERROR,
    Mark.LOOPBACK: ERROR,
    Mark.OWN_ADDRESS: WARNING,
}


def as_dict(matrix: ExposureMatrix) -> dict[str, Any]:
    """Return the matrix for JSON output."""
    return {
        "source": matrix.source,
        "rows": [row.key for row in matrix.rows],
        "columns": [column.key for column in matrix.columns],
        "cells": [_cell(cell) for cell in matrix.cells],
        "sentences": list(sentences(matrix)),
        "not_followed": list(matrix.unjudged),
    }


def _cell(cell: ExposureCell) -> dict[str, Any]:
    bypass = cell.bypass
    return {
        "row": cell.row.key,
        "column": cell.column.key,
        "version": cell.version,
        "state": cell.state.value,
        "why": cell.why.value,
        "by": _rule(cell.by),
        "answer": cell.answer,
        "condition": condition(cell) if cell.terms or cell.clauses else "",
        "ways": [way.value for way in cell.ways],
        "marks": [mark.value for mark in cell.marks],
        "bypass": {"meant": _rule(bypass.meant), "translation": _rule(bypass.translation)} if bypass else None,
        "not_judged": list(cell.unjudged),
        "witness": _witness(cell),
        "confirmed": cell.confirmed,
    }


def _rule(reference: RuleReference | None) -> dict[str, Any] | None:
    if reference is None:
        return None
    own = reference
    return {"table": own.table, "chain": own.chain, "number": own.number, "text": own.text, "line": own.line}


def _witness(cell: ExposureCell) -> dict[str, Any] | None:
    if cell.witness is None:
        return None
    sender, header = cell.witness.sender, cell.witness.header
    return {"node": sender.node if sender is not None else None, **header_as_dict(header)}


def header_as_dict(header: PlainHeader) -> dict[str, Any]:
    return {
        "entered": header.entered,
        "source": str(header.source),
        "destination": str(header.destination),
        "protocol": header.protocol,
        "source_port": header.first,
        "port": header.second,
        "length": header.length,
        "ttl": header.ttl,
    }


def sarif(matrix: ExposureMatrix, file: str) -> dict[str, Any]:
    """Return a log with a result for each marked cell; `file` is that of the rules, empty where there is none."""
    driver = {
        "name": _DISTRIBUTION,
        "semanticVersion": version(_DISTRIBUTION),
        "rules": [
            {
                "id": _id(mark),
                "name": mark.name.title().replace("_", ""),
                "shortDescription": {"text": f"{mark.value[0].upper()}{mark.value[1:]}"},
                "defaultConfiguration": {"level": _LEVELS[mark]},
            }
            for mark in Mark
        ],
    }
    results = [_result(cell, mark, file) for cell in matrix.cells for mark in cell.marks]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _id(mark: Mark) -> str:
    return f"exposure-{mark.name.lower().replace('_', '-')}"


def _result(cell: ExposureCell, mark: Mark, file: str) -> dict[str, Any]:
    said = f"{name(cell.row)} from {cell.column.key}, IPv{cell.version}: {mark.value}, by {rule(cell.by)}."
    reference = cell.bypass.meant if mark is Mark.BYPASS and cell.bypass is not None else cell.by
    identity = f"{cell.row.key} {cell.column.key} {cell.version} {mark.name}"
    result: dict[str, Any] = {
        "ruleId": _id(mark),
        "ruleIndex": list(Mark).index(mark),
        "level": _LEVELS[mark],
        "message": {"text": visible(said)},
        "locations": [_location(reference, file)] if reference is not None else [],
        "partialFingerprints": {"primaryLocationLineHash": f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}:1"},
    }
    return result


def _location(reference: RuleReference, file: str) -> dict[str, Any]:
    number = f"/{reference.number}" if reference.number is not None else ""
    where = f"{reference.table}/{reference.chain}{number}"
    found: dict[str, Any] = {"logicalLocations": [{"name": reference.text, "fullyQualifiedName": where}]}
    if file:
        physical: dict[str, Any] = {"artifactLocation": {"uri": quote(Path(file).as_posix())}}
        if reference.line:
            physical["region"] = {"startLine": reference.line}
        found["physicalLocation"] = physical
    return found
