"""Text from rules, files and names made safe to print: unprintable characters become escapes.

So no terminal, browser or XML reader acts on them: control characters, terminal escape sequences, marks that change the
text direction, halves of surrogate pairs.
"""

from __future__ import annotations

import re

_HIDDEN = re.compile(r"[^\n\t -~]")


def visible(text: str) -> str:
    r"""Return a text with escapes such as `\x1b` in place of unprintable characters; newlines and tabs stay."""
    return text if text.isprintable() else _HIDDEN.sub(_escape, text)


def one_line(text: str) -> str:
    r"""Return a text as `visible` does, with `\n` in place of a newline and `\t` in place of a tab."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
