"""The record of a bed with a name: what is ours of it, kept in a file while it stands."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from testbed.docker import DockerHost, article, hostfile
from testbed.docker.engines import engine_or_native
from testbed.errors import TestbedError
from testbed.kernel import named_namespaces
from testbed.kernel.backends import ALL
from testbed.rules import AnyRuleset, environment, rulefile
from testbed.topology import Topology

FOLDER = Path("/run/docker-host-testbed")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Record:
    """What is ours of a bed: its namespaces by device and inode, its programs by process id and start time.

    `host` is the text of the file that describes its Docker host, None for the article's; `engine` the generation that
    builds it, empty for none.
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
        """Where a node's namespace is pinned; its name there is what `ip netns` calls it."""
        return pin_of(self.name, node)

    @property
    def stands(self) -> bool:
        """Whether every namespace of the bed is there and is the one that was made for it."""
        return self.complete and all(
            named_namespaces.identity(self.path(node)) == i for node, i in self.namespaces.items()
        )

    @property
    def ruleset(self) -> AnyRuleset:
        """The rules with which it was made."""
        return rulefile.parse(self.rules, self.source)

    @property
    def docker_host(self) -> DockerHost:
        """The Docker host that it has."""
        host = hostfile.parse(self.host) if self.host is not None else article.HOST
        return engine_or_native(self.engine).built(host) if self.engine else host

    @property
    def topology(self) -> Topology:
        """What it is made of: the Docker host among real machines, with the bridges that its rules name."""
        return environment.with_missing_bridges(article.topology_with_kernels(self.docker_host), [self.ruleset])

    @property
    def remarks(self) -> list[str]:
        """What its rules name and nobody in it is, in sentences."""
        host = self.docker_host
        return [*host.remarks, *environment.warnings(article.topology_with_kernels(host), [self.ruleset])]


@dataclass(frozen=True, slots=True)
class Damaged:
    """A file that should be a record and is none: `why`, and what could be read of namespaces and programs."""

    name: str
    why: str
    namespaces: dict[str, tuple[int, int]]
    companions: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        return f"the record {path_of(self.name)} is damaged: {self.why}"

    @property
    def remedy(self) -> str:
        """What takes it away."""
        return (
            f"Take it away with `invoke down --name {self.name}`."
            if NAME.fullmatch(self.name)
            else f"Remove that file below {FOLDER}: a bed cannot have its name."
        )

    @property
    def error(self) -> TestbedError:
        return TestbedError(f"{self}.", self.remedy)


def pin_of(bed: str, node: str) -> Path:
    """Where the namespace of a bed's node is pinned."""
    return named_namespaces.FOLDER / f"{bed}-{node}"


def path_of(name: str) -> Path:
    """The file of a record."""
    return FOLDER / f"{name}.json"


def read(name: str) -> Record | Damaged | None:
    """Return the record of a bed, what is left of a damaged one, or None where there is no such file."""
    try:
        facts = json.loads(path_of(name).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not JSON"
        return Damaged(name, str(said), {}, ())
    try:
        record = _record(name, facts)
        _ = record.topology  # its rules and its host can be read
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
    """Write a record whole or not at all, whenever it is interrupted."""
    FOLDER.mkdir(mode=0o755, exist_ok=True)
    beside = FOLDER / f".{record.name}"
    beside.write_text(json.dumps(asdict(record), indent=1))
    beside.rename(path_of(record.name))


def remove(name: str) -> None:
    """Take a record away, and the folder when it was the last."""
    path_of(name).unlink(missing_ok=True)
    if FOLDER.is_dir() and not any(FOLDER.iterdir()):
        FOLDER.rmdir()


def _record(name: str, facts: Any) -> Record:
    """The record that JSON describes; KeyError, TypeError or ValueError for what is none."""
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
    """The namespaces that are well described."""
    held = facts.get("namespaces") if isinstance(facts, dict) else None
    pairs = held.items() if isinstance(held, dict) else ()
    return {node: (pair[0], pair[1]) for node, pair in pairs if _NODE.fullmatch(node) and _is_pair(pair)}


def _salvaged_companions(facts: Any) -> tuple[tuple[int, int], ...]:
    """The programs that are well described."""
    held = facts.get("companions") if isinstance(facts, dict) else None
    return tuple((pair[0], pair[1]) for pair in held if _is_pair(pair)) if isinstance(held, list) else ()


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and [type(part) for part in value] == [int, int]
