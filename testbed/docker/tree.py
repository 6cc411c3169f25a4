"""YAML documents with the line of each part: whatever is wrong is reported with file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import yaml

from testbed.docker import yaml_text
from testbed.errors import TopologyError

T = TypeVar("T")
_NOTHING = ("", "null", "Null", "NULL", "~")
_BOOLEANS = {"true": True, "yes": True, "on": True, "y": True, "false": False, "no": False, "off": False, "n": False}
_MERGE = "<<"
_REMEDY = "Correct that line."
RESET, OVERRIDE = "!reset", "!override"


class _Placed(TopologyError):
    """An error that says its place already."""


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A part of a YAML document, perhaps one that is absent: its value, where it stands, and its own tag, if any.

    A child of a mapping has the line of its key, an item of a list its own.
    """

    value: dict[str, Tree] | list[Tree] | str | None
    source: str
    line: int
    tag: str = ""

    @classmethod
    def parse(cls, text: str, source: str) -> Tree:
        """Return the only document of a text; TopologyError with the line where it is no YAML."""
        return next(iter(documents(text, source)), cls(None, source, 1))

    @property
    def place(self) -> str:
        """The file and the line."""
        return f"{self.source}, line {self.line}"

    def error(self, what: str, remedy: str = _REMEDY) -> TopologyError:
        """Return the error that says what is wrong here."""
        return _Placed(f"{self.place}: {what}", remedy)

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Add file and line to a TopologyError or a ValueError of the block that has none yet."""
        try:
            yield
        except _Placed:
            raise
        except TopologyError as error:
            raise self.error(error.what, error.remedy or _REMEDY) from error
        except ValueError as error:
            raise self.error(f"{error}.") from error

    @property
    def is_absent(self) -> bool:
        """Whether there is nothing here, or null."""
        return self.value is None

    @property
    def mapping(self) -> list[tuple[str, Tree]]:
        """The keys with their values."""
        if self.value is None or self.value == "":
            return []
        if not isinstance(self.value, dict):
            raise self.error("keys with values are expected here.")
        return list(self.value.items())

    @property
    def items(self) -> list[Tree]:
        """The items of a list."""
        if self.value is None or self.value == "":
            return []
        if not isinstance(self.value, list):
            raise self.error("a list is expected here.")
        return self.value

    @property
    def entries(self) -> list[tuple[str, Tree]]:
        """The keys of a mapping with their values, or the words of a list, each with an empty tree."""
        if isinstance(self.value, list):
            return [(item.word, Tree(None, self.source, item.line)) for item in self.value]
        return self.mapping

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The keys and values of a mapping, or of a list of `KEY=VALUE`."""
        if isinstance(self.value, list):
            return [(key, value) for key, _, value in (item.word.partition("=") for item in self.value)]
        return [(key, "" if tree.is_absent else tree.word) for key, tree in self.mapping]

    @property
    def words(self) -> list[str]:
        """The single values of a list, or one single value."""
        return [self.word] if isinstance(self.value, str) else [item.word for item in self.items]

    def child(self, key: str) -> Tree:
        """Return the value of a key; where the key is absent, an empty tree on this line."""
        return dict(self.mapping).get(key, Tree(None, self.source, self.line))

    def with_value(self, value: dict[str, Tree] | list[Tree] | str | None) -> Tree:
        """Return another value in the same place."""
        return replace(self, value=value)

    def only(self, *known: str) -> None:
        """Raise TopologyError for the first key that is not among these."""
        for key, tree in self.mapping:
            if key not in known:
                raise tree.error(f"the key {key} is not known here.", f"Known are {', '.join(known)}.")

    @property
    def word(self) -> str:
        """A single value."""
        if not isinstance(self.value, str):
            raise self.error("a single value is expected here.")
        return self.value

    def text(self, key: str, otherwise: str = "") -> str:
        """Return the single value of a key."""
        tree = self.child(key)
        return otherwise if tree.is_absent else tree.word

    def flag(self, key: str, otherwise: bool) -> bool:
        """Return the value of a key that is true or false."""
        tree = self.child(key)
        if tree.is_absent:
            return otherwise
        if tree.word.lower() not in _BOOLEANS:
            raise tree.error(f"{key} is true or false, not {tree.word}.")
        return _BOOLEANS[tree.word.lower()]

    def number(self, key: str, otherwise: int) -> int:
        """Return the value of a key that is a whole number."""
        tree = self.child(key)
        if tree.is_absent:
            return otherwise
        if not tree.word.lstrip("-").isdecimal():
            raise tree.error(f"{key} is a whole number, not {tree.word!r}.")
        return int(tree.word)

    def converted(self, key: str, convert: Callable[[str], T], otherwise: T) -> T:
        """Return the value of a key, converted; TopologyError with the line where that raises ValueError."""
        tree = self.child(key)
        if tree.is_absent:
            return otherwise
        with tree.blamed():
            return convert(tree.word)


def documents(text: str, source: str) -> list[Tree]:
    """Return the documents of a YAML text; TopologyError with the line where it is no YAML."""
    loader = _TreeBuilder(source)
    return [loader.tree(node, node.start_mark.line + 1) for node in yaml_text.compose(text, source)]


class _TreeBuilder:
    """Turns YAML nodes into trees; a node with an anchor becomes the same tree wherever it is referred to."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._open: set[int] = set()
        self._made: dict[int, dict[str, Tree] | list[Tree] | str | None] = {}

    def tree(self, node: yaml.Node, line: int) -> Tree:
        tag = node.tag if node.tag in (RESET, OVERRIDE) else ""
        if id(node) in self._open:
            raise TopologyError(f"{self._source}, line {line}: an alias contains itself.", "Remove it.")
        if id(node) not in self._made:
            self._open.add(id(node))
            self._made[id(node)] = self._value(node)
            self._open.remove(id(node))
        return Tree(self._made[id(node)], self._source, line, tag)

    def _value(self, node: yaml.Node) -> dict[str, Tree] | list[Tree] | str | None:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.tree(item, item.start_mark.line + 1) for item in node.value]
        assert isinstance(node, yaml.ScalarNode)
        return None if node.style is None and node.value in _NOTHING else str(node.value)

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Tree]:
        own: dict[str, Tree] = {}
        merged: dict[str, Tree] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise TopologyError(f"{self._source}, line {line}: a key is a single value.", _REMEDY)
            tree = self.tree(value, line)
            if key.value == _MERGE and key.style is None:
                merged = {**self._merged(tree), **merged}
            elif key.value in own:
                raise tree.error(f"the key {key.value} is there twice.", "Remove one of them.")
            else:
                own[str(key.value)] = tree
        return {**merged, **own}

    @staticmethod
    def _merged(tree: Tree) -> dict[str, Tree]:
        """Return the keys of the mapping that `<<` refers to, or of several, of which the first counts."""
        parts = tree.items if isinstance(tree.value, list) else [tree]
        found: dict[str, Tree] = {}
        for part in parts:
            found = {**dict(part.mapping), **found}
        return found
