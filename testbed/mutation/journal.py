"""What a campaign has found so far, mutant by mutant, so that it can go on after whatever ended it."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

import testbed
from testbed.errors import TestbedError
from testbed.mutation.outcome import MutantResult
from testbed.mutation.plan import Plan, Task


class Journal:
    """A file of JSON lines, one for each mutant that was judged, found again by what its outcome depends on.

    A line that is not whole, because its writer was killed, says nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, MutantResult] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            written = path.read_text() if path.exists() else ""
            with path.open("a") as file:
                file.write("\n" if written and not written.endswith("\n") else "")
        except (OSError, UnicodeDecodeError) as error:
            raise TestbedError(
                f"the journal {path} cannot be used: {error}.", "Name another: --journal FILE."
            ) from error
        for line in written.splitlines():
            try:
                value = json.loads(line)
                self._known[value["key"]] = MutantResult.from_dict(value["outcome"])
            except (ValueError, KeyError, TypeError):
                continue

    def known(self, key: str) -> MutantResult | None:
        """What was found before for a key; None: nothing."""
        return self._known.get(key)

    def add(self, key: str, outcome: MutantResult) -> None:
        """Write it down; it is in the file when this returns."""
        with self._path.open("a") as file:
            file.write(json.dumps({"key": key, "outcome": outcome.as_dict()}) + "\n")
        self._known[key] = outcome


def key(plan: Plan, task: Task, root: Path) -> str:
    """What an outcome depends on: rules, mutant, cases and what they say, host, kernel, the testbed itself."""
    rules = plan.rules
    files = sorted({case.partition("::")[0] for case in task.cases})
    parts = [
        _testbed(),
        platform.release(),
        plan.host,
        plan.table,
        plan.source,
        plan.backend,
        *rules.listing,
        rules.sets,
        task.mutant,
        *task.cases,
        *_contents([root / file for file in files]),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _contents(files: Iterable[Path]) -> list[str]:
    """The digests of files and of every conftest.py above them."""
    found: dict[Path, None] = {}
    for file in files:
        found |= dict.fromkeys([file, *(above / "conftest.py" for above in file.parents)])
    return [_digest(path) for path in found]


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@lru_cache(maxsize=1)
def _testbed() -> str:
    sources = sorted(Path(testbed.__file__).parent.rglob("*.py"))
    return hashlib.sha256("".join(map(_digest, sources)).encode()).hexdigest()
