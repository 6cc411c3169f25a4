"""invoke diff: what behaves differently between two rule sets."""

from __future__ import annotations

import json as jsons
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task
from rich.text import Text

from testbed.docker import DockerHost
from testbed.errors import TestbedError
from testbed.regress import difference, table
from testbed.regress.answers import Answers, ask
from testbed.regress.explained import Explained, explained
from testbed.regress.side import Side
from testbed.regress.table import Row
from testbed.report import difference as report
from testbed.report import page
from testbed.report.annotations import annotated
from testbed.report.located import Source
from testbed.report.page.difference import Difference
from testbed.report.sarif import log
from testbed.rules import files, rulefile
from testbed.tasks.behaviours import asked
from testbed.tasks.chosen import HOST_HELP, choose
from testbed.tasks.console import FINDING, NOT_JUDGED, as_json, console, in_words
from testbed.tasks.values import writable

_ARTICLE = "article"
_TITLE = "What behaves differently"
_SIDES = "A file of rules, a table of `invoke behaviours`, a version of Docker's engine, or `article`."


@dataclass(frozen=True, slots=True)
class _Compared:
    """What one argument stands for: rules to be asked, or the rows of a table."""

    source: Source
    side: Side | None
    rows: tuple[Row, ...] = ()
    contradictions: tuple[str, ...] = ()


@task(
    positional=["old", "new"],
    help={
        "old": f"what there was. {_SIDES}",
        "new": f"what there is to be. {_SIDES}",
        "host": HOST_HELP,
        "backends": "what loads the rules; two with a comma between them for one each: nft,legacy",
        "allow": "file with changes that are meant, as --list prints them; none are where it is missing",
        "list": "print each change on a line of its own, as --allow reads them",
        "ways": "print the witnesses' ways on both sides, rule by rule",
        "markdown": "file to write a comment for a pull request to",
        "html": "file to write a page to, on which both ways of each witness stand side by side",
        "sarif": "file to write the changes to as SARIF 2.1.0, for code scanning",
        "annotations": "print annotations for a pull request on GitHub, too",
        "json": "print the changes for programs",
    },
)
@in_words
def diff(
    _: Context,
    old: str,
    new: str,
    host: str | None = None,
    backends: str = "nft",
    allow: str = "",
    list: bool = False,  # noqa: A002 - it is the option's name
    ways: bool = False,
    markdown: str = "",
    html: str = "",
    sarif: str = "",
    annotations: bool = False,
    json: bool = False,
) -> None:
    """Show what behaves differently between two rule sets: opened, closed, translated or answered differently.

    Both are asked the same questions by real packets. Exit code 0 when nothing differs, 1 when something does that is
    not allowed, 2 when they could not be asked.
    """
    if annotations and (list or json):
        raise TestbedError("--annotations are printed among what a person reads.", "Leave out --list and --json.")
    for option, file in (("--markdown", markdown), ("--html", html), ("--sarif", sarif)):
        writable(option, file)
    chosen = choose(host, None, None).host
    first, second = _two(backends)
    sides = _compared(old, host, first), _compared(new, host, second)
    allowed = _allowed(allow) if allow else set()
    answers = _answers(chosen, sides)
    before, now = _rows(sides, answers)
    found = [change for change in difference.changes(before, now) if str(change) not in allowed]
    remarks = [sentence for side in sides for sentence in side.contradictions]
    remarks += [*_remarks(before, now), *(answers.remarks if answers is not None else [])]
    causes = _explained(chosen, sides, answers, difference.causes(found))
    remarks += [report.TABLE] if causes and None in [one.side for one in sides] else []
    sources = sides[0].source, sides[1].source
    heading = f"{sources[0].name} => {sources[1].name}: {len(found)} of {len(before)} behaviours differ"
    if markdown:
        files.write(markdown, report.markdown(causes, heading, remarks))
    if html:
        shown = Difference((sources[0].name, sources[1].name), len(before), tuple(causes), tuple(remarks))
        files.write(html, page.html(page.Page(_TITLE, (), difference=shown)))
    if sarif:
        files.write(sarif, jsons.dumps(log(causes, *sources), indent=2))
    if json:
        why = [cause.as_dict() for cause in causes]
        changed = [report.as_dict(change) for change in found]
        as_json({"compared": len(before), "changes": changed, "causes": why, "remarks": remarks})
    elif list:
        for change in found:
            console().print(str(change), markup=False, soft_wrap=True)
    else:
        told = [Text(heading), *report.lines(causes, ways), *map(Text, remarks)]
        told += map(Text, annotated(causes, *sources) if annotations else ())
        for line in told:
            console().print(line, soft_wrap=True)
    if found:
        raise Exit(code=FINDING)
    if any(side.contradictions for side in sides):
        raise Exit(code=NOT_JUDGED)


def _two(backends: str) -> tuple[str, str]:
    """The backends of both sides."""
    names = backends.split(",")
    if len(names) > 2:
        raise TestbedError(f"--backends {backends} names more than two.", "Give one, or one for each side: nft,legacy.")
    return names[0], names[-1]


def _allowed(file: str) -> set[str]:
    """The changes that are meant; none, said, where the file is not there yet."""
    if not Path(file).exists():
        console(stderr=True).print(Text(f"There is no file {file}, so no change is allowed."), soft_wrap=True)
        return set()
    return set(files.text_of(file, "Give a file with changes.", TestbedError).splitlines())


def _compared(word: str, host: str | None, backend: str) -> _Compared:
    path = Path(word)
    if path.is_file() and table.is_table(files.text_of(path, _SIDES)):
        return _Compared(Source(word), None, tuple(table.read(path)))
    if any(file.exists() for file in rulefile.paths_of(word)):
        chosen = choose(host, None, word)
        chosen.warn()
        side = Side(chosen.rules, backend)
        return _Compared(Source.of_file(path, chosen.rules), side, contradictions=chosen.contradictions)
    try:
        rules = choose(host, "20.10" if host and word == _ARTICLE else None if word == _ARTICLE else word, None).rules
    except TestbedError as error:
        raise TestbedError(f"{word} is no file and no engine.", _SIDES) from error
    name = f"{word} ({rules.source})" if word != _ARTICLE else rules.source
    return _Compared(Source(name), Side(rules, backend))


def _answers(host: DockerHost, sides: tuple[_Compared, ...]) -> Answers | None:
    """What the rules among both answer; None where both are tables."""
    own = [one.side for one in sides if one.side is not None]
    return asked(lambda step: ask(host, own, step)) if own else None


def _explained(
    host: DockerHost, sides: Sequence[_Compared], answers: Answers | None, causes: Sequence[difference.Cause]
) -> list[Explained]:
    probes = answers.probes.asked if answers is not None else ()
    return explained(host, [one.side for one in sides], probes, causes)


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
