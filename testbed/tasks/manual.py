"""The man page of the console command, in roff, made from the help of its tasks."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

from invoke.collection import Collection
from invoke.parser.context import ParserContext

from testbed.tasks import settings
from testbed.tasks.program import ConsoleProgram

_EXIT_CODES = (
    ("0", "good"),
    ("1", "a finding: a difference, a red case, a survivor"),
    ("2", "it could not run: bad input, or a missing requirement"),
    ("3", "it ran and found nothing, and something could not be judged; the output names it"),
    ("130", "interrupted"),
)
_SUMMARY = "test the packet-filter rules of a Docker host"


def man_page(program: ConsoleProgram) -> str:
    """Return the page of a program."""
    return "\n".join(_lines(program)) + "\n"


def _lines(program: ConsoleProgram) -> Iterator[str]:
    name = program.binary
    yield f'.TH {_text(name.upper())} 1 "" "{_text(name)} {_text(str(program.version))}"'
    yield from (".SH NAME", f"{_text(name)} \\- {_SUMMARY}")
    yield from (
        ".SH SYNOPSIS",
        f".B {_text(name)}",
        "[\\fIoption\\fR ...] \\fItask\\fR [\\fIoption of the task\\fR ...]",
    )
    yield ".SH OPTIONS"
    yield from _options(program.initial_context.help_tuples())
    yield ".SH TASKS"
    for context in program.collection.to_contexts():
        yield from _task(program.collection, context)
    yield ".SH EXIT STATUS"
    yield from _options(_EXIT_CODES)
    yield from (".SH ENVIRONMENT", _text(_paragraph(settings.__doc__)))


def _task(tasks: Collection, context: ParserContext) -> Iterator[str]:
    arguments = "".join(f" {str(argument.name).upper()}" for argument in context.positional_args)
    yield f".SS {_text(f'{context.name}{arguments}')}"
    for paragraph in (inspect.getdoc(tasks[context.name]) or "").split("\n\n"):
        yield from (_text(_paragraph(paragraph)), ".PP")
    yield from _options(context.help_tuples())


def _options(options: Sequence[tuple[str, str | None]]) -> Iterator[str]:
    for names, said in options:
        yield from (".TP", f"\\fB{_text(names)}\\fR", _text(said or ""))


def _paragraph(text: str | None) -> str:
    return " ".join((text or "").split())


def _text(text: str) -> str:
    """Return text that roff prints as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
