"""Which files a project consists of, what it is called, and the document that they make together."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.docker.compose import environment as environment_files
from testbed.docker.compose.interpolation import ComposeVariables
from testbed.docker.compose.loading import Loader
from testbed.docker.problems import Problems
from testbed.docker.tree import Tree, documents
from testbed.errors import TopologyError
from testbed.rules.files import name_of, text_of

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_OVERRIDES = tuple(f"{name}.override.{ending}" for name in ("compose", "docker-compose") for ending in ("yml", "yaml"))
_NAME_KEY, _PROFILES, _FILES, _ENV_FILES = (
    f"COMPOSE_{key}" for key in ("PROJECT_NAME", "PROFILES", "FILE", "ENV_FILES")
)
_UNNAMED = "testbed"
_REMEDY = "Give a compose file, a folder with one, or a file that describes a host."


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a project: compose files in their order, and environment files and a daemon.json, if any."""

    compose: tuple[Path, ...]
    environment: tuple[Path, ...]
    daemon: Path | None

    @property
    def folder(self) -> Path:
        return self.compose[0].resolve().parent


@dataclass(frozen=True, slots=True)
class Project:
    """A document whose variables, includes and extended services are in place, and what is to be said of it."""

    tree: Tree
    profiles: frozenset[str]
    remarks: tuple[str, ...]


def compose_file_in(folder: Path) -> Path | None:
    """Return the compose file that Compose itself would take in a folder, if any."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def files_of(
    spec: str, environment: Mapping[str, str], daemon_file: str | None = None, env_files: str | None = None
) -> Files:
    """Return the files that `--host` names: a file, a folder, or several with commas between them.

    `daemon_file` is a daemon.json beside them, `env_files` are environment files, with commas between them.
    """
    compose: list[Path] = []
    variables: list[Path] = []
    daemon = Path(daemon_file) if daemon_file is not None else None
    for path in _paths(spec):
        if path.is_dir():
            compose += _in_folder(path, environment)
        elif path.name.startswith(".env") or path.suffix == ".env":
            variables.append(path)
        elif path.name.endswith("daemon.json"):
            if daemon is not None:
                raise TopologyError(f"the daemon is described by {daemon} and by {path}.", "Leave out one of them.")
            daemon = path
        else:
            compose.append(path)
    if not compose:
        raise TopologyError(f"{spec!r} names no file that describes a host.", _REMEDY)
    return Files(tuple(compose), (*variables, *_paths(env_files or "")), daemon)


def _paths(text: str) -> list[Path]:
    """The path that a text is, or several with commas between them."""
    if text and Path(text).exists():
        return [Path(text)]
    return [Path(part.strip()) for part in text.split(",") if part.strip()]


def _in_folder(folder: Path, environment: Mapping[str, str]) -> list[Path]:
    if named := environment.get(_FILES):
        return [folder / name for name in named.split(environment.get("COMPOSE_PATH_SEPARATOR") or ":")]
    main = compose_file_in(folder)
    if main is None:
        raise TopologyError(f"{folder} has no compose file.", f"Compose looks for {', '.join(NAMES)}. {_REMEDY}")
    over = next((folder / name for name in _OVERRIDES if (folder / name).is_file()), None)
    return [main] if over is None else [main, over]


def read(files: Files, environment: Mapping[str, str], project_name: str | None = None) -> Project:
    """Return the project of these files; TopologyError, with all that is wrong, where it cannot be read.

    `project_name` is what it is called whatever the environment and the files say.
    """
    values = _variables(files, environment)
    texts = {path: text_of(path, _REMEDY, TopologyError) for path in files.compose}
    name = _name(files, texts, values, project_name)
    variables, problems = ComposeVariables({**values, _NAME_KEY: name}), Problems()
    tree = Loader(files.folder, variables, problems, texts=texts).load(list(files.compose))
    parts = {**dict(tree.mapping), "name": Tree(name, tree.source, tree.line)}
    if files.daemon is not None:
        parts["daemon"] = _daemon(files.daemon, tree.child("daemon"))
    problems.raise_all()
    chosen = frozenset(part.strip() for part in values.get(_PROFILES, "").split(",") if part.strip())
    remarks = tuple(
        f"{place}: the variable {unset} is not set, and empty here." for unset, place in variables.unset.items()
    )
    return Project(tree.with_value(parts), chosen, remarks)


def of_text(text: str, source: str) -> Project:
    """Return the project of a text, with no environment and no folder of its own."""
    variables, problems = ComposeVariables({}), Problems()
    trees = Loader(Path.cwd(), variables, problems).parsed(text, source)
    problems.raise_all()
    tree = trees[0] if trees else Tree(None, source, 1)
    if tree.child("name").is_absent:
        tree = tree.with_value({**dict(tree.mapping), "name": Tree(_UNNAMED, source, 1)})
    return Project(tree, frozenset(), ())


def _variables(files: Files, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, which counts first, and the variables of environment files, of which the last counts first."""
    named = [Path(name) for name in environment.get(_ENV_FILES, "").split(",") if name]
    chosen = list(files.environment) or named
    if not chosen and (beside := files.folder / ".env").is_file():
        chosen = [beside]
    found: dict[str, str] = {}
    for path in chosen:
        found |= environment_files.read(path, environment)
    return {**found, **environment}


def _name(files: Files, texts: Mapping[Path, str], values: Mapping[str, str], wanted: str | None) -> str:
    """The project's name: the one that is wanted, of the environment, of the last file with one, or the folder's."""
    for named, by in ((wanted, "--project-name"), (values.get(_NAME_KEY), _NAME_KEY)):
        if named and normalized(named) != named:
            raise TopologyError(f"{named!r} is no name for a project ({by}).", "Use a-z, 0-9, _ and -.")
        if named:
            return named
    for path in reversed(files.compose):
        for document in documents(texts[path], name_of(path)):
            if text := document.text("name"):
                with document.child("name").blamed():
                    return normalized(ComposeVariables(values).replaced(text)) or _UNNAMED
    return normalized(files.folder.name) or _UNNAMED


def normalized(name: str) -> str:
    """Return a project's name as Compose makes one of another text."""
    return "".join(re.findall(r"[a-z0-9_-]", name.lower())).lstrip("_-")


def _daemon(path: Path, beside: Tree) -> Tree:
    """A daemon.json, which is JSON and may be empty; TopologyError where a compose file describes the daemon too."""
    if not beside.is_absent:
        raise beside.error(f"the daemon is described here and in {path}.", "Leave out one of them.")
    text = text_of(path, "Give a daemon.json.", TopologyError)
    try:
        json.loads(text or "{}")
    except ValueError as error:
        raise TopologyError(f"{path} is no JSON: {error}.", "Correct it.") from error
    return Tree.parse(text, str(path))
