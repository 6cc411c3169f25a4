"""Text from rules, files and names in GitHub's Markdown: as code, or plain if it contains no markup.

https://github.github.com/gfm/
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from testbed.visible import one_line, visible

_PLAIN = re.compile(r"(?!.*(?:://|www\.))[A-Za-z0-9 .,;:/'\"()%=>+\-]*")
_BACKTICKS = re.compile(r"`+")
_PIPE = re.compile(r"(\\*)\|")


def code(text: str) -> str:
    """Return a code span that the text cannot end."""
    text = one_line(text) or " "
    fence = "`" * (_longest(text) + 1)
    pad = " " if "`" in text or (text[0] == text[-1] == " " and text.strip()) else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def plain(text: str) -> str:
    """Return the text unchanged if none of its characters can be markup, a mention or a link; else a code span."""
    return text if _PLAIN.fullmatch(text) else code(text)


def cell(markdown: str) -> str:
    """Return Markdown with its pipes escaped, for a cell of a table; a pipe after an odd number of backslashes too."""
    return _PIPE.sub(lambda found: found[1] + "\\" * (1 + len(found[1]) % 2) + "|", markdown)


def fenced(lines: Iterable[str], language: str) -> list[str]:
    """Return a block of code that no line can end."""
    shown = [visible(line) for line in lines]
    fence = "`" * max(3, _longest("\n".join(shown)) + 1)
    return [f"{fence}{language}", *shown, fence]


def in_html(text: str) -> str:
    """Return the text for HTML within Markdown; in an element `code` if GitHub could find a mention or a link."""
    escaped = html.escape(one_line(text), quote=False)
    return escaped if _PLAIN.fullmatch(text) else f"<code>{escaped}</code>"


def _longest(text: str) -> int:
    """Return the length of the longest run of backticks."""
    return max(map(len, _BACKTICKS.findall(text)), default=0)
