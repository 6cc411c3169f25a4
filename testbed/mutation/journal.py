"""The results of a campaign so far, mutant by mutant, so that it can continue after an interruption."""

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
from testbed.rules import files


class Journal:
    """A file of JSON lines, one for each judged mutant, with a key made of everything that the result depends on.

    An incomplete line, left by a killed writer, is ignored.
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
                f"the journal {path} cannot be used: {files.reason(error)}.", "Name another: --journal FILE."
            ) from error
        for line in written.splitlines():
            try:
                value = json.loads(line)
                self._known[value["key"]] = MutantResult.from_dict(value["outcome"])
            except (ValueError, KeyError, TypeError):
                continue

    def known(self, key: str) -> MutantResult | None:
        """Return the recorded result for a key; None if there is none."""
        return self._known.get(key)

    def add(self, key: str, outcome: MutantResult) -> None:
        """Write a result; it is in the file when this function returns."""
        with self._path.open("a") as file:
            file.write(json.dumps({"key": key, "outcome": outcome.as_dict()}) + "\n")
        self._known[key] = outcome


def key(plan: Plan, task: Task, root: Path) -> str:
    """Return a hash of all inputs of a result: rules, mutant, cases and their files, host, kernel, the testbed."""
    rules = plan.rules
    files = sorted({case.partition("::")[0] for case in task.cases})
    parts = [
        _testbed(),
        platform.release(),
        plan.host,
        plan.table,
        plan.engine,
        plan.backend,
        *rules.listing,
        rules.sets,
        task.mutant,
        *task.cases,
        *_contents([root / file for file in files]),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _contents(files: Iterable[Path]) -> list[str]:
    """Return the digests of files and of every conftest.py above them."""
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
