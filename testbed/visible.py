"""Text from rules, files and names as it can be shown: every character that does not print is written as its escape.

So no terminal, browser or XML reader acts on it: control characters, terminal escape sequences, marks that turn the
direction of text, halves of surrogate pairs.
"""

from __future__ import annotations

import re

_HIDDEN = re.compile(r"[^\n\t -~]")


def visible(text: str) -> str:
    r"""Return a text with `\x1b` and the like in place of what does not print; lines and tabs stay."""
    return text if text.isprintable() else _HIDDEN.sub(_escape, text)


def one_line(text: str) -> str:
    r"""Return a text as `visible` does, with `\n` in place of a new line and `\t` in place of a tab."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
