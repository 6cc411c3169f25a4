"""Variables in compose files: `$NAME`, `${NAME}`, with a default, an alternative or an error, nested as you like."""

from __future__ import annotations

import re
from collections.abc import Mapping

from testbed.docker.problems import Problems
from testbed.docker.tree import Tree
from testbed.errors import TopologyError

_START = re.compile(r"\$(?:(?P<escaped>\$)|(?P<name>[A-Za-z_]\w*)|(?P<brace>\{))", re.ASCII)
_BRACED = re.compile(r"(?P<name>[A-Za-z_]\w*)(?:(?P<operator>:?[-?+])(?P<word>.*))?", re.ASCII | re.DOTALL)
_DEEPEST = 50


class ComposeVariables:
    """The values of variables, and those that were asked for and are not set."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.unset: dict[str, str] = {}  # where each is first used

    def replaced(self, text: str, place: str = "", depth: int = 0) -> str:
        """Return a text with its variables replaced; TopologyError where one is required or the text is malformed."""
        if depth > _DEEPEST:
            raise TopologyError("variables are nested too deeply.", "Write it more simply.")
        parts, position = [], 0
        while found := _START.search(text, position):
            parts.append(text[position : found.start()])
            position = found.end()
            if found["escaped"]:
                parts.append("$")
            elif found["name"]:
                parts.append(self._value(found["name"], place))
            else:
                end = _closing(text, position)
                parts.append(self._braced(text[position:end], place, depth))
                position = end + 1
        return "".join([*parts, text[position:]])

    def _value(self, name: str, place: str) -> str:
        if name not in self.values:
            self.unset.setdefault(name, place)
        return self.values.get(name, "")

    def _braced(self, inner: str, place: str, depth: int) -> str:
        found = _BRACED.fullmatch(inner)
        if not found:
            raise TopologyError(f"${{{inner}}} is no variable.", "Write ${NAME} or ${NAME:-default}, and $$ for a $.")
        name, operator, word = found["name"], found["operator"] or "", found["word"] or ""
        value = self.values.get(name)
        there = value is not None and (value != "" or not operator.startswith(":"))
        if not operator:
            return self._value(name, place)
        if operator.endswith("+"):
            return self.replaced(word, place, depth + 1) if there else ""
        if there:
            return value or ""
        if operator.endswith("?"):
            reason = self.replaced(word, place, depth + 1)
            raise TopologyError(
                f"the variable {name} is required{': ' + reason if reason else ''}.",
                f"Set it in the environment or in .env: {name}=...",
            )
        return self.replaced(word, place, depth + 1)


def _closing(text: str, position: int) -> int:
    """Return where the brace ends that was opened before a position."""
    depth = 1
    for index in range(position, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise TopologyError(f"{text!r} has a variable without its closing brace.", "Write ${NAME}, and $$ for a $.")


def interpolated(tree: Tree, variables: ComposeVariables, problems: Problems) -> Tree:
    """Return a document with all variables replaced; what cannot be replaced is reported."""
    if isinstance(tree.value, dict):
        return tree.with_value({key: interpolated(entry, variables, problems) for key, entry in tree.value.items()})
    if isinstance(tree.value, list):
        return tree.with_value([interpolated(item, variables, problems) for item in tree.value])
    if tree.value is None or "$" not in tree.value:
        return tree
    with problems.collected(), tree.blamed():
        return tree.with_value(variables.replaced(tree.value, tree.place))
    return tree
