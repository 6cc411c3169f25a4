"""The ledger of claims: statements about a rule set, and the cases that confirm or correct them.

A claim is a hypothesis until a packet has confirmed it. A claim that the kernel refutes stays in the ledger as
corrected.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import TestbedError
from testbed.rules import files

HOLDS, CORRECTED = "holds", "corrected"
_FIELDS = ("section", "claim", "verdict", "evidence", "cases")


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement: its section, the kernel's verdict, the evidence and its cases (file::function)."""

    id: str
    section: str
    claim: str
    verdict: str
    evidence: str
    cases: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return self.verdict == HOLDS


def read(path: Path) -> list[Claim]:
    """Return the claims of a ledger file (TOML, a table for each id).

    Raises TestbedError when the file cannot be read, a claim lacks a field, or its verdict is neither `holds` nor
    `corrected`.
    """
    try:
        entries = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TestbedError(
            f"the ledger {path} cannot be read: {files.reason(error)}.",
            "Run it where cases/article is, or give the file (--ledger).",
        ) from error
    if not entries:
        raise TestbedError(
            f"there are no claims in the ledger {path}.", "Give a ledger such as cases/article/claims.toml."
        )
    return [_claim(path, identity, entry) for identity, entry in entries.items()]


def _claim(path: Path, identity: str, entry: object) -> Claim:
    if not isinstance(entry, dict):
        raise TestbedError(f"{path}: {identity} is no claim.", "A claim is a table: [A01] and its fields below.")
    empty = [field for field in _FIELDS if not entry.get(field) or not str(entry[field]).strip()]
    if empty:
        raise TestbedError(f"{path}: claim {identity} has no {empty[0]}.")
    if entry["verdict"] not in (HOLDS, CORRECTED):
        raise TestbedError(f"{path}: claim {identity} has the verdict {entry['verdict']!r}; write holds or corrected.")
    cases = entry["cases"]
    if not isinstance(cases, list) or not all(isinstance(case, str) and case.strip() for case in cases):
        raise TestbedError(f"{path}: the cases of claim {identity} are not a list of file::function.")
    return Claim(
        identity,
        str(entry["section"]),
        str(entry["claim"]),
        str(entry["verdict"]),
        str(entry["evidence"]),
        tuple(cases),
    )
