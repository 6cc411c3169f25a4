"""Every command in README.md and docs/ is one that the tasks take: no unknown task, no unknown option."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from itertools import dropwhile, groupby
from pathlib import Path

import pytest
from invoke.exceptions import ParseError
from invoke.parser import Parser

from testbed.tasks import namespace
from testbed.tasks.program import ConsoleProgram

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.M | re.S)
_OURS = re.compile(r"(?:invoke|docker-host-testbed)")
_WORDS = re.compile(r"`(?:invoke|docker-host-testbed) ([a-z][^`]*)`")


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of each call of a task in a page's console blocks."""
    for block in _BLOCK.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield from tasks_in(line.removeprefix("$ "))


def tasks_in(line: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of a task in a shell command."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for separator, words in groupby(lexer, lambda word: set(word) <= set("();<>|&")):
        called = [*dropwhile(lambda word: not _OURS.fullmatch(word.rpartition("/")[2]), words)]
        if not separator and called:
            yield called[1:]


def parse(arguments: list[str]) -> None:
    program = ConsoleProgram()
    parser = Parser(initial=program.initial_context, contexts=namespace.to_contexts())
    parser.parse_argv(arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_console_blocks_are_understood(page: Path) -> None:
    refused = []
    for arguments in commands(page):
        try:
            parse(arguments)
        except ParseError as error:
            refused.append(f"{arguments}: {error}")
    assert refused == []


def test_there_are_commands_to_check() -> None:
    assert sum(1 for page in PAGES for _ in commands(page)) > 50


def test_an_unknown_option_is_found() -> None:
    (arguments,) = tasks_in("sudo .venv/bin/invoke trace --nonsense")
    with pytest.raises(ParseError):
        parse(arguments)


def test_tasks_named_in_the_text_exist() -> None:
    here = runpy.run_path(str(ROOT / "tasks.py"))["namespace"]  # with this repository's own tasks
    known = {name for context in here.to_contexts() for name in (context.name, *context.aliases)}
    named = {call.split()[0] for page in PAGES for call in _WORDS.findall(page.read_text())}
    assert named - known - {"help", "TASK"} == set()
