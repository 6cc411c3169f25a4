"""A compose document put together from its files: interpolated, with includes and extended services, merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from testbed.docker.compose import environment as environment_files
from testbed.docker.compose.interpolation import ComposeVariables, interpolated
from testbed.docker.compose.keys import EXTENSION, PASSED
from testbed.docker.compose.merging import merged, without_resets
from testbed.docker.problems import Problems
from testbed.docker.tree import Tree, documents
from testbed.errors import TopologyError
from testbed.rules.files import name_of, text_of

_ENV_FILE = ".env"
_MERGED = ("services", "networks")  # the sections of an included file that count
_REMOTE = ("://", "git@", "oci:", "github.com:")


@dataclass(frozen=True, slots=True)
class Loader:
    """Reads the documents of one project; `folder` is the one to which their paths are relative.

    `reading` are the files that are being read, and `texts` those that were read before.
    """

    folder: Path
    variables: ComposeVariables
    problems: Problems
    reading: tuple[Path, ...] = ()
    texts: Mapping[Path, str] = field(default_factory=dict)

    def load(self, paths: list[Path]) -> Tree:
        """Return the files merged, the later ones over the earlier ones."""
        found: Tree | None = None
        for path in paths:
            for document in self._documents(path):
                found = document if found is None else merged(found, document)
        return without_resets(found) if found is not None else Tree(None, str(paths[0]), 1)

    def _documents(self, path: Path) -> list[Tree]:
        if path in self.reading:
            raise TopologyError(f"{path} includes itself.", "Remove one `include`.")
        remedy = "Give a compose file, or a file that describes a host."
        text = self.texts[path] if path in self.texts else text_of(path, remedy, TopologyError)
        return self.parsed(text, name_of(path), (*self.reading, path))

    def parsed(self, text: str, source: str, reading: tuple[Path, ...] = ()) -> list[Tree]:
        """Return the documents of a text, each with what it includes and extends."""
        found = []
        for document in documents(text, source):
            tree = _interpolated(document, self.variables, self.problems)
            inner = replace(self, reading=reading)
            tree = inner._with_includes(tree)
            found.append(inner._with_extended(tree))
        return found

    def _with_includes(self, tree: Tree) -> Tree:
        for item in tree.child("include").items:
            included = self._included(item)
            parts = {key: included.child(key) for key in _MERGED if not included.child(key).is_absent}
            own = dict(tree.mapping)
            for key, part in parts.items():
                own[key] = merged(part, own[key], (key,)) if key in own else part
            tree = tree.with_value(own)
        return tree

    def _included(self, item: Tree) -> Tree:
        """The document that one entry of `include` names, with its own folder and environment."""
        entry = item if isinstance(item.value, dict) else item.with_value({"path": item})
        paths = [self._path(word, item) for word in entry.child("path").words]
        if not paths:
            raise item.error("an include needs a `path`.", "Write the file's path.")
        folder = self.folder / entry.text("project_directory", str(paths[0].parent))
        files = [self.folder / word for word in entry.child("env_file").words] or [folder / _ENV_FILE]
        values = self.variables.values
        with item.blamed():
            for file in files:
                if file.is_file() or file.name != _ENV_FILE:
                    values = {**environment_files.read(file, values), **values}
            return Loader(folder, ComposeVariables(values), self.problems, self.reading).load(paths)

    def _path(self, word: str, tree: Tree) -> Path:
        if any(word.startswith(mark) or mark in word[:12] for mark in _REMOTE):
            raise tree.error(f"{word} is not on this machine, and nothing is fetched.", "Fetch it, and give its path.")
        return (self.folder / word).resolve()

    def _with_extended(self, tree: Tree) -> Tree:
        services = dict(tree.child("services").mapping)
        if not any(not entry.child("extends").is_absent for entry in services.values() if _is_service(entry)):
            return tree
        for name, entry in services.items():
            with self.problems.collected():
                services[name] = self._extended(name, entry, services, ())
        section = tree.child("services").with_value(services)
        return tree.with_value({**dict(tree.mapping), "services": section})

    def _extended(
        self, name: str, entry: Tree, services: Mapping[str, Tree], behind: tuple[tuple[str, str], ...]
    ) -> Tree:
        """A service with what it extends merged below it."""
        if not _is_service(entry) or (asked := entry.child("extends")).is_absent:
            return entry
        if (entry.source, name) in behind:
            raise asked.error(f"{name} extends itself.", "Remove one `extends`.")
        other = asked.word if isinstance(asked.value, str) else asked.text("service")
        file = "" if isinstance(asked.value, str) else asked.text("file")
        inner, known = self._siblings(asked, file) if file else (self, services)
        if other not in known:
            raise asked.error(f"there is no service {other} to extend{' in ' + file if file else ''}.", "Correct it.")
        base = inner._extended(other, known[other], known, (*behind, (entry.source, name)))
        own = {key: part for key, part in entry.mapping if key != "extends"}
        return merged(base, entry.with_value(own), ("services", name))

    def _siblings(self, asked: Tree, file: str) -> tuple[Loader, dict[str, Tree]]:
        """The services of another file, as they stand there."""
        path = self._path(file, asked)
        with asked.blamed():
            text = text_of(path, "Give the path of a compose file.", TopologyError)
        inner = replace(self, folder=path.parent)
        found: dict[str, Tree] = {}
        for document in documents(text, str(path)):
            tree = _interpolated(document, self.variables, self.problems)
            found.update(tree.child("services").mapping)
        return inner, found


def _is_service(tree: Tree) -> bool:
    return isinstance(tree.value, dict)


def _interpolated(tree: Tree, variables: ComposeVariables, problems: Problems) -> Tree:
    """Replace variables where they have a part in filtering; elsewhere only those that are required are asked for."""
    found: dict[str, Tree] = {}
    for key, entry in tree.mapping:
        if key in ("volumes", "secrets", "configs", "models") or key.startswith(EXTENSION):
            found[key] = _checked(entry, variables, problems)
        elif key == "services" and isinstance(entry.value, dict):
            found[key] = entry.with_value({name: _service(part, variables, problems) for name, part in entry.mapping})
        else:
            found[key] = interpolated(entry, variables, problems)
    return tree.with_value(found)


def _service(tree: Tree, variables: ComposeVariables, problems: Problems) -> Tree:
    if not isinstance(tree.value, dict):
        return interpolated(tree, variables, problems)
    return tree.with_value(
        {
            key: (_checked if key in PASSED or key.startswith(EXTENSION) else interpolated)(part, variables, problems)
            for key, part in tree.mapping
        }
    )


def _checked(tree: Tree, variables: ComposeVariables, problems: Problems) -> Tree:
    """Return a part as it is; report what Compose refuses there: required variables not set, malformed ones."""
    interpolated(tree, ComposeVariables(variables.values), problems)
    return tree
