"""invoke diff: what behaves differently between two rule sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task
from rich.text import Text

from testbed.docker import DockerHost
from testbed.errors import TestbedError
from testbed.regress import difference, table
from testbed.regress.campaign import Answers, Side, ask
from testbed.regress.table import Row
from testbed.report import difference as report
from testbed.rules import files, rulefile
from testbed.tasks.behaviours import asked
from testbed.tasks.chosen import HOST_HELP, choose
from testbed.tasks.console import FINDING, as_json, console, in_words

_ARTICLE = "article"
_SIDES = "A file of rules, a table of `invoke behaviours`, a version of Docker's engine, or `article`."


@dataclass(frozen=True, slots=True)
class _Compared:
    """What one argument stands for: rules to be asked, or the rows of a table."""

    name: str
    side: Side | None
    rows: tuple[Row, ...] = ()


@task(
    positional=["old", "new"],
    help={
        "old": f"what there was. {_SIDES}",
        "new": f"what there is to be. {_SIDES}",
        "host": HOST_HELP,
        "backends": "what loads the rules; two with a comma between them for one each: nft,legacy",
        "allow": "file with changes that are meant, as --list prints them",
        "list": "print each change on a line of its own, as --allow reads them",
        "markdown": "file to write a comment for a pull request to",
        "json": "print the changes for programs",
    },
)
@in_words
def diff(
    _: Context,
    old: str,
    new: str,
    host: str = "",
    backends: str = "nft",
    allow: str = "",
    list: bool = False,  # noqa: A002 - it is the option's name
    markdown: str = "",
    json: bool = False,
) -> None:
    """Show what behaves differently between two rule sets: opened, closed, translated or answered differently.

    Both are asked the same questions by real packets. Exit code 0 when nothing differs, 1 when something does that is
    not allowed, 2 when they could not be asked.
    """
    first, second = [*backends.split(","), backends][:2]
    sides = _compared(old, host, first), _compared(new, host, second)
    allowed = set(files.text_of(allow, "Give a file with changes.", TestbedError).splitlines()) if allow else set()
    answers = _answers(choose(host, "", "").host, sides)
    before, now = _rows(sides, answers)
    found = [change for change in difference.changes(before, now) if str(change) not in allowed]
    remarks = [*_remarks(before, now), *(answers.remarks if answers is not None else [])]
    causes = difference.causes(found)
    heading = f"{sides[0].name} => {sides[1].name}: {len(found)} of {len(before)} behaviours differ"
    if markdown:
        _write(Path(markdown), report.markdown(causes, heading, remarks))
    if json:
        as_json({"compared": len(before), "changes": [report.as_dict(change) for change in found], "remarks": remarks})
    elif list:
        for change in found:
            console().print(str(change), markup=False, soft_wrap=True)
    else:
        out = console()
        out.print(heading, soft_wrap=True)
        for line in (*report.lines(causes), *map(Text, remarks)):
            out.print(line, soft_wrap=True)
    if found:
        raise Exit(code=FINDING)


def _compared(word: str, host: str, backend: str) -> _Compared:
    path = Path(word)
    if path.is_file() and table.is_table(path.read_text(errors="replace")):
        return _Compared(word, None, tuple(table.read(path)))
    if any(file.exists() for file in rulefile.paths_of(word)):
        return _Compared(word, Side(choose(host, "", word).rules, backend))
    try:
        rules = choose(host, "20.10" if host and word == _ARTICLE else "" if word == _ARTICLE else word, "").rules
    except TestbedError as error:
        raise TestbedError(f"{word} is no file and no engine.", _SIDES) from error
    return _Compared(f"{word} ({rules.source})" if word != _ARTICLE else rules.source, Side(rules, backend))


def _answers(host: DockerHost, sides: tuple[_Compared, ...]) -> Answers | None:
    """What the rules among both answer; None where both are tables."""
    own = [one.side for one in sides if one.side is not None]
    return asked(lambda step: ask(host, own, step)) if own else None


def _rows(sides: tuple[_Compared, ...], answers: Answers | None) -> list[list[Row]]:
    found = iter(answers.sides if answers is not None else ())
    return [table.rows(next(found)) if one.side is not None else [*one.rows] for one in sides]


def _remarks(before: list[Row], now: list[Row]) -> list[str]:
    gone, added = difference.unpaired(before, now)
    return [
        f"{len(probes)} probes are only in {where}, so they are not compared: {probes[0]} ..."
        for probes, where in ((gone, "the first"), (added, "the second"))
        if probes
    ]


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise TestbedError(f"{path} cannot be written: {error.strerror}.", "Give another file.") from error
