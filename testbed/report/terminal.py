"""Output for people. Text is text: markup, emoji and control characters in it have no effect.

All output goes through `Terminal`, and every styled text is a `Text` of this module. No other module of the project
uses rich's own classes (tests/unit/test_hostile_text.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import rich.console
import rich.text
from rich.segment import Segment

from testbed.visible import visible


class Text(rich.text.Text):
    """A styled text in which every character is visible; rich's own class drops some control characters."""

    def __init__(self, text: str = "", *arguments: Any, **options: Any) -> None:
        super().__init__(visible(text), *arguments, **options)

    @classmethod
    def assemble(cls, *parts: rich.text.Text | str | tuple[str, str], style: str = "") -> Text:  # type: ignore[override]
        text = cls(style=style)
        for part in parts:
            text.append(*part) if isinstance(part, tuple) else text.append(part)
        return text

    def append(self, text: rich.text.Text | str, style: Any = None) -> Text:
        super().append(visible(text) if isinstance(text, str) else text, style)
        return self


class Terminal(rich.console.Console):
    """A console that prints strings unchanged, and escapes the control characters left in anything else."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> rich.text.Text:
        return super().render_str(visible(text), **options)

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        raise  # rich calls this while it handles a BrokenPipeError, and would exit with 1
