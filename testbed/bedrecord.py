"""The record of a named bed: a file that lists the namespaces and programs of the bed while it stands."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from testbed import described_host
from testbed.docker import DockerHost, article
from testbed.docker.engines import engine_or_native
from testbed.docker.fitted import Fitted, fitted
from testbed.errors import TestbedError
from testbed.kernel import named_namespaces
from testbed.kernel.backends import ALL
from testbed.rules import AnyRuleset, environment, rulefile
from testbed.rules.origin import UNKNOWN, RulesetOrigin
from testbed.topology import Topology

FOLDER = Path("/run/docker-host-testbed")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Record:
    """The resources of a bed: its namespaces by device and inode, its programs by process id and start time.

    `host` is the text of the file that describes its Docker host, None for the article's. `engine` is the generation
    that builds the host, empty for none.
    """

    name: str
    backend: str
    host: str | None
    rules: str
    source: str
    namespaces: dict[str, tuple[int, int]]
    companions: tuple[tuple[int, int], ...] = ()
    complete: bool = False
    engine: str = ""

    def path(self, node: str) -> Path:
        """Return the path where a node's namespace is pinned; its name there is the name for `ip netns`."""
        return pin_of(self.name, node)

    @property
    def stands(self) -> bool:
        """Whether every namespace of the bed exists and is the one that was made for it."""
        return self.complete and all(
            named_namespaces.identity(self.path(node)) == i for node, i in self.namespaces.items()
        )

    @property
    def ruleset(self) -> AnyRuleset:
        """The rules with which the bed was made."""
        return _ruleset(self.rules, self.source, self.engine)

    @property
    def fitted(self) -> Fitted:
        """The Docker host of the bed with what its rules need, and what was added."""
        return _fitted(self.host, self.rules, self.source, self.engine)

    @property
    def docker_host(self) -> DockerHost:
        """The Docker host of the bed."""
        return self.fitted.host

    @property
    def topology(self) -> Topology:
        """The topology of the bed: the Docker host among kernel endpoints, with the bridges that its rules name."""
        return environment.with_missing_bridges(article.topology_with_kernels(self.docker_host), [self.ruleset])

    @property
    def remarks(self) -> list[str]:
        """Sentences on what the host's description leaves open, and on what its rules name and the topology lacks."""
        host = self.fitted.host
        return [*host.remarks, *environment.warnings(article.topology_with_kernels(host), [self.ruleset])]


@lru_cache(maxsize=1)
def _ruleset(rules: str, source: str, engine: str) -> AnyRuleset:
    return rulefile.parse(rules, source, RulesetOrigin.of_engine(engine) if engine else UNKNOWN)


@lru_cache(maxsize=1)
def _fitted(described: str | None, rules: str, source: str, engine: str) -> Fitted:
    host = described_host.parse(described) if described is not None else article.HOST
    built = engine_or_native(engine).built(host) if engine else host
    return fitted(built, [_ruleset(rules, source, engine)], described=described is not None)


@dataclass(frozen=True, slots=True)
class Damaged:
    """A damaged record file: `why`, and the namespaces and programs that could be read from it."""

    name: str
    why: str
    namespaces: dict[str, tuple[int, int]]
    companions: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        return f"the record {path_of(self.name)} is damaged: {self.why}"

    @property
    def remedy(self) -> str:
        """The command that removes it."""
        return (
            f"Take it away with `invoke down --name {self.name}`."
            if NAME.fullmatch(self.name)
            else f"Remove that file below {FOLDER}: a bed cannot have its name."
        )

    @property
    def error(self) -> TestbedError:
        return TestbedError(f"{self}.", self.remedy)


def pin_of(bed: str, node: str) -> Path:
    """Return the path where the namespace of a bed's node is pinned."""
    return named_namespaces.FOLDER / f"{bed}-{node}"


def path_of(name: str) -> Path:
    """Return the file of a record."""
    return FOLDER / f"{name}.json"


def read(name: str) -> Record | Damaged | None:
    """Return the record of a bed, the rest of a damaged record, or None if there is no such file."""
    try:
        facts = json.loads(path_of(name).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not JSON"
        return Damaged(name, str(said), {}, ())
    try:
        record = _record(name, facts)
        _ = record.topology  # check that its rules and its host can be read
    except (KeyError, TypeError, ValueError) as error:
        why = f"it lacks {error.args[0]}" if isinstance(error, KeyError) else str(error)
        return Damaged(name, why, _salvaged_namespaces(facts), _salvaged_companions(facts))
    except TestbedError as error:
        return Damaged(name, error.what.removesuffix("."), record.namespaces, record.companions)
    return record


def read_all() -> list[Record | Damaged]:
    """Return every record, damaged or not, by name."""
    names = sorted(path.stem for path in FOLDER.glob("*.json"))
    return [found for name in names if (found := read(name)) is not None]


def write(record: Record) -> None:
    """Write a record atomically: an interruption leaves no partial file."""
    FOLDER.mkdir(mode=0o755, exist_ok=True)
    beside = FOLDER / f".{record.name}"
    beside.write_text(json.dumps(asdict(record), indent=1))
    beside.rename(path_of(record.name))


def remove(name: str) -> None:
    """Remove a record, and the folder if it was the last."""
    path_of(name).unlink(missing_ok=True)
    if FOLDER.is_dir() and not any(FOLDER.iterdir()):
        FOLDER.rmdir()


def _record(name: str, facts: Any) -> Record:
    """Return the record that JSON describes; raises KeyError, TypeError or ValueError for invalid JSON."""
    if not isinstance(facts, dict):
        raise TypeError("it is no object")
    facts = {"engine": "", **facts}
    kinds: dict[str, tuple[type, ...]] = {
        **dict.fromkeys(("name", "backend", "rules", "source", "engine"), (str,)),
        "host": (str, type(None)),
        "complete": (bool,),
    }
    for key, kind in kinds.items():
        if not isinstance(facts[key], kind):
            raise TypeError(f"its {key} is {json.dumps(facts[key])[:40]}")
    if facts["name"] != name or not NAME.fullmatch(name):
        raise ValueError(f"it is of a bed named {facts['name']}")
    if facts["backend"] not in ALL:
        raise ValueError(f"there is no backend {facts['backend']}")
    namespaces = _salvaged_namespaces(facts)
    companions = _salvaged_companions(facts)
    if len(namespaces) != len(facts["namespaces"]) or len(companions) != len(facts["companions"]):
        raise ValueError("its namespaces or programs are not pairs of numbers")
    known = {key: facts[key] for key in kinds}
    return Record(**known, namespaces=namespaces, companions=companions)


def _salvaged_namespaces(facts: Any) -> dict[str, tuple[int, int]]:
    """Return the valid namespaces of a record."""
    held = facts.get("namespaces") if isinstance(facts, dict) else None
    pairs = held.items() if isinstance(held, dict) else ()
    return {node: (pair[0], pair[1]) for node, pair in pairs if _NODE.fullmatch(node) and _is_pair(pair)}


def _salvaged_companions(facts: Any) -> tuple[tuple[int, int], ...]:
    """Return the valid programs of a record."""
    held = facts.get("companions") if isinstance(facts, dict) else None
    return tuple((pair[0], pair[1]) for pair in held if _is_pair(pair)) if isinstance(held, list) else ()


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and [type(part) for part in value] == [int, int]
