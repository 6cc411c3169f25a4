"""Environment files (.env): `KEY=VALUE` lines, with quotes, comments, `export`, and variables in values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from testbed.docker.compose.interpolation import ComposeVariables
from testbed.errors import TopologyError
from testbed.rules.files import text_of

_STATEMENT = re.compile(
    r"""[^\S\n]*(?:export[^\S\n]+)?(?P<key>[\w.\-\[\]]+)[^\S\n]*
    (?:[=:][^\S\n]*(?:
        '(?P<single>[^']*)'
      | "(?P<double>(?:\\.|[^"\\])*)"
      | (?P<plain>(?!['"])[^\n]*)
    ))?""",
    re.VERBOSE | re.DOTALL,
)
_SKIPPED = re.compile(r"(?:\s+|#[^\n]*)*")
_REST = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "$": "$$"}


def read(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a file; TopologyError, with the line, for a line that is none."""
    return parse(text_of(path, "Give a file of KEY=VALUE lines.", TopologyError), str(path), environment)


def parse(text: str, source: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a text; `environment` are those that are known before it, which count first."""
    found: dict[str, str] = {}
    position = _skip(text, 0)
    while position < len(text):
        statement = _STATEMENT.match(text, position)
        end = _REST.match(text, statement.end()) if statement else None
        if statement is None or end is None:
            line = text.count("\n", 0, position) + 1
            raise TopologyError(f"{source}, line {line}: this is no KEY=VALUE.", "Write NAME=VALUE, or # before it.")
        value = _value(statement, ComposeVariables({**found, **environment}), environment)
        if value is not None:
            found[statement["key"]] = value
        position = _skip(text, end.end())
    return found


def _skip(text: str, position: int) -> int:
    found = _SKIPPED.match(text, position)
    return found.end() if found else position


def _value(statement: re.Match[str], variables: ComposeVariables, environment: Mapping[str, str]) -> str | None:
    if statement["single"] is not None:
        return statement["single"]
    if statement["double"] is not None:
        spelled = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), statement["double"], flags=re.DOTALL)
        return variables.replaced(spelled)
    if statement["plain"] is not None:
        return variables.replaced(re.sub(r"(^|\s)#.*", "", statement["plain"]).strip())
    return environment.get(statement["key"])
