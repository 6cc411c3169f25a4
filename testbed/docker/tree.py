"""YAML read with the lines in mind: whatever is wrong is said with file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import yaml

from testbed.errors import TopologyError

T = TypeVar("T")
_NOTHING = ("", "null", "~")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Tree:
    """A part of a YAML document, perhaps one that is not there; knows its line."""

    def __init__(self, node: yaml.Node | None, source: str, line: int) -> None:
        self._node = node
        self._source = source
        self._line = line

    @classmethod
    def parse(cls, text: str, source: str) -> Tree:
        """The whole document; TopologyError with the line where it is no YAML."""
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise TopologyError(f"{source}, line {line}: this is no YAML ({error.problem}).", "Correct it.") from error
        return cls._of(node, source) if node is not None else cls(None, source, 1)

    @classmethod
    def _of(cls, node: yaml.Node, source: str) -> Tree:
        return cls(node, source, node.start_mark.line + 1)

    def error(self, what: str, remedy: str = "Correct that line.") -> TopologyError:
        """What is wrong here."""
        return TopologyError(f"{self._source}, line {self._line}: {what}", remedy)

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Says file and line of what a TopologyError or a ValueError in the block complains of."""
        try:
            yield
        except TopologyError as error:
            raise self.error(error.what, error.remedy or "Correct that line.") from error
        except ValueError as error:
            raise self.error(f"{error}.") from error

    @property
    def _is_empty(self) -> bool:
        return self._node is None or (isinstance(self._node, yaml.ScalarNode) and self._node.value in _NOTHING)

    @property
    def mapping(self) -> list[tuple[str, Tree]]:
        """The keys with what they hold, each with the line of its key."""
        if self._is_empty:
            return []
        if not isinstance(self._node, yaml.MappingNode):
            raise self.error("keys with values are expected here.")
        return [(str(key.value), Tree(value, self._source, key.start_mark.line + 1)) for key, value in self._node.value]

    @property
    def items(self) -> list[Tree]:
        """The items of a list."""
        if self._is_empty:
            return []
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.error("a list is expected here.")
        return [Tree._of(item, self._source) for item in self._node.value]

    @property
    def entries(self) -> list[tuple[str, Tree]]:
        """The keys of a mapping with what they hold, or the words of a list, each with nothing."""
        if isinstance(self._node, yaml.SequenceNode):
            return [(item.word, Tree(None, self._source, item._line)) for item in self.items]
        return self.mapping

    def child(self, key: str) -> Tree:
        """What a key holds; where the key is not there, an empty tree on this line."""
        return dict(self.mapping).get(key, Tree(None, self._source, self._line))

    def only(self, *known: str) -> None:
        """TopologyError for the first key that is not known."""
        for key, tree in self.mapping:
            if key not in known:
                raise tree.error(f"the key {key} is not known here.", f"Known are {', '.join(known)}.")

    @property
    def word(self) -> str:
        """A single value."""
        if not isinstance(self._node, yaml.ScalarNode):
            raise self.error("a single value is expected here.")
        return str(self._node.value)

    def text(self, key: str, otherwise: str = "") -> str:
        """The single value of a key."""
        tree = self.child(key)
        return tree.word if tree._node is not None else otherwise

    def flag(self, key: str, otherwise: bool) -> bool:
        """The value of a key that is true or false."""
        tree = self.child(key)
        if tree._node is None:
            return otherwise
        if tree.word.lower() not in _BOOLEANS:
            raise tree.error(f"{key} is true or false, not {tree.word}.")
        return _BOOLEANS[tree.word.lower()]

    def value(self, key: str, convert: Callable[[str], T], otherwise: T) -> T:
        """The value of a key, converted; TopologyError with the line where that raises ValueError."""
        tree = self.child(key)
        if tree._node is None:
            return otherwise
        with tree.blamed():
            return convert(tree.word)
