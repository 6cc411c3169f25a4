"""The nodes of a YAML text, within limits: a text that would exhaust time or memory is refused with its line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from testbed.errors import TopologyError
from testbed.visible import visible

_LONGEST = 1_000_000  # characters; a host of 1,000 containers takes some 100,000
_DEEPEST = 50
_MOST = 100_000  # nodes, those that aliases repeat counted each time


def compose(text: str, source: str) -> list[yaml.Node]:
    """Return the root of each document; TopologyError with the line of what is wrong."""
    if len(text) > _LONGEST:
        raise TopologyError(
            f"{source} has {len(text)} characters: too many for a host file.", f"Up to {_LONGEST} are read."
        )
    try:
        loader = _Loader(text)
        try:
            return list(loader.documents())
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"the character {visible(chr(error.character))} is not allowed"
        raise TopologyError(f"{source}, line {line}: {what} in YAML.", "Delete that character.") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TopologyError(f"{source}, line {line}: this is no YAML ({error.problem}).", "Correct it.") from error


class _Loader(yaml.SafeLoader):
    """Composes nodes, and counts on the way how deep they are and how many they would be without aliases."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._sizes: dict[int, int] = {}

    def documents(self) -> Iterator[yaml.Node]:
        """Yield the root of each document."""
        while self.check_node():
            if (node := self.get_node()) is not None:
                yield node

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _wrong(f"it is nested more than {_DEEPEST} deep", event.start_mark)
        node = super().compose_node(parent, index)
        assert node is not None
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            self._sizes[id(node)] = 1 + sum(self._sizes.get(id(inner), 1) for inner in _inside(node))
        if self._sizes.get(id(node), 1) > _MOST:
            raise _wrong(f"its aliases repeat more than {_MOST} values", event.start_mark)
        return node


def _inside(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in node.value for inner in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _wrong(what: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=mark)
