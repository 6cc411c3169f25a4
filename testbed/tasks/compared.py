"""The two sides of a comparison, and what is printed and written of it."""

from __future__ import annotations

import json as jsons
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.behaviour import difference, table
from testbed.behaviour.comparison import Comparison, Given, compare
from testbed.behaviour.difference import Change
from testbed.behaviour.explanation import Explained, explained
from testbed.behaviour.regions.comparison import ExactComparison, compare_exactly
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import DockerHost
from testbed.errors import TestbedError
from testbed.report import difference as report
from testbed.report import guesses, not_asked, page
from testbed.report.annotations import annotated
from testbed.report.located import Source
from testbed.report.page.difference import ComparedRulesets
from testbed.report.sarif import log
from testbed.report.terminal import Text
from testbed.rules import files, rulefile
from testbed.tasks.chosen import choose
from testbed.tasks.console import console
from testbed.tasks.exit_codes import FINDING, NOT_JUDGED
from testbed.tasks.host_options import HostOptions
from testbed.tasks.options import SIDES_HELP
from testbed.tasks.progress import asked

_ARTICLE = "article"
_TITLE = "What behaves differently"
_SAME_OUTCOME = "Every packet has the same outcome on both sides; --strict makes another deciding rule a difference."


@dataclass(frozen=True, slots=True)
class ComparedSide:
    """What one argument stands for: rules or a table, where they are from, and how they contradict the host."""

    source: Source
    given: Given
    contradictions: tuple[str, ...] = ()


def backends_of(backends: str) -> tuple[str, str]:
    """The backends of both sides."""
    names = backends.split(",")
    if len(names) > 2:
        raise TestbedError(f"--backends {backends} names more than two.", "Give one, or one for each side: nft,legacy.")
    return names[0], names[-1]


def allowed_in(file: str) -> set[str]:
    """The changes that are meant; none, said, where the file is not there yet."""
    if not Path(file).exists():
        console(stderr=True).print(Text(f"There is no file {file}, so no change is allowed."), soft_wrap=True)
        return set()
    return set(files.text_of(file, "Give a file with changes.", TestbedError).splitlines())


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """A comparison in each of the forms that the task's options ask for."""

    made: Comparison | ExactComparison
    sides: tuple[ComparedSide, ComparedSide]
    causes: tuple[Explained, ...]

    @property
    def sources(self) -> tuple[Source, Source]:
        return self.sides[0].source, self.sides[1].source

    @property
    def heading(self) -> str:
        return not_asked.heading(self.made, *self.sources)

    @property
    def open(self) -> list[str]:
        return not_asked.sentences(self.made, *self.sources)

    @property
    def guessed(self) -> list[str]:
        return guesses.sentences(self.made.guesses)

    @property
    def remarks(self) -> list[str]:
        """What was added to the host, what the bed has not, and of what no ways can be shown."""
        tables = any(one.old is None or one.new is None for one in self.causes)
        apart = [sentence for side in self.sides for sentence in side.contradictions]
        said = [_SAME_OUTCOME] if self.made.found and self.made.compared is None and not self.real else []
        return [*self.guessed, *apart, *self.made.remarks, *said, *([report.TABLE] if tables else [])]

    def code(self, strict: bool) -> int:
        """Return the exit code; `strict`: also another deciding rule is a difference."""
        exact = isinstance(self.made, ExactComparison)
        if self.made.found if strict or not exact else self.real:
            return FINDING
        return NOT_JUDGED if self.made.open or any(side.contradictions for side in self.sides) else 0

    @property
    def real(self) -> tuple[Change, ...]:
        """The changes that are not only another deciding rule."""
        return tuple(change for change in self.made.found if change.kind != difference.MOVED)

    def write(self, markdown: str, html: str, sarif: str) -> None:
        """The files that are asked for; an empty name is none."""
        if markdown:
            title = not_asked.title(self.made)
            files.write(markdown, report.markdown(self.causes, self.heading, self.remarks, self.open, title))
        if html:
            names = self.sources[0].name, self.sources[1].name
            shown = ComparedRulesets(names, self.made.compared, self.causes, tuple(self.remarks), tuple(self.open))
            files.write(html, page.html(page.Page(_TITLE, (), difference=shown)))
        if sarif:
            files.write(sarif, jsons.dumps(log(self.causes, *self.sources, self.made.lines), indent=2))

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "guesses": guesses.as_dicts(self.made.guesses),
            "compared": self.made.compared,
            "changes": [report.as_dict(change) for change in self.made.found],
            "causes": [cause.as_dict() for cause in self.causes],
            ("not_judged" if self.made.compared is None else "not_asked"): not_asked.as_dicts(self.made, *self.sources),
            "contradictions": [sentence for side in self.sides for sentence in side.contradictions],
            "remarks": self.remarks,
        }

    def listed(self) -> Iterator[Text]:
        """A line for each change, as --allow reads them; what no probe judges behind a word of its own."""
        yield from (Text(str(change)) for change in self.made.found)
        label = not_asked.title(self.made).lower()
        yield from (Text(f"{label} {one}") for one in self.open)

    def lines(self, ways: bool, annotations: bool) -> Iterator[Text]:
        """For a person."""
        yield from map(Text, self.guessed)
        yield Text(self.heading)
        yield from report.lines(self.causes, ways)
        yield from map(Text, not_asked.paragraphs(self.made, *self.sources))
        yield from map(Text, self.remarks[len(self.guessed) :])
        if annotations:
            yield from map(Text, annotated(self.causes, *self.sources, self.made.lines))


def side_of(word: str, host: HostOptions | None, backend: str) -> ComparedSide:
    """Return what an argument of `invoke diff` stands for; TestbedError for what is no file and no engine."""
    path = Path(word)
    if path.is_file() and table.is_table(content := files.text_of(path, SIDES_HELP)):
        return ComparedSide(Source(word), Given(None, tuple(table.read(path)), table.fingerprint_in(content)))
    if any(file.exists() for file in rulefile.paths_of(word)):
        chosen = choose(host, None, word)
        chosen.warn()
        side = RulesetVariant(chosen.rules, backend)
        return ComparedSide(Source.of_file(path, chosen.rules), Given(side), chosen.contradictions)
    try:
        rules = choose(host, "20.10" if host and word == _ARTICLE else None if word == _ARTICLE else word, None).rules
    except TestbedError as error:
        raise TestbedError(f"{word} is no file and no engine.", SIDES_HELP) from error
    name = f"{word} ({rules.source})" if word != _ARTICLE else rules.source
    return ComparedSide(Source(name), Given(RulesetVariant(rules, backend)))


def compared(
    host: DockerHost, described: bool, sides: tuple[ComparedSide, ComparedSide], allowed: Collection[str]
) -> ComparisonReport:
    """Compare two rule sets over all packets, or, where a side is a table, by probes."""
    given = [side.given.side for side in sides]
    rules = [one for one in given if one is not None]
    if len(rules) == len(sides):
        exact = compare_exactly(host, described, rules, allowed)
        return ComparisonReport(exact, sides, exact.causes)
    both = sides[0].given, sides[1].given
    made = asked(lambda step: compare(host, described, both, step, allowed))
    return ComparisonReport(made, sides, tuple(causes_of(both, made)))


def causes_of(sides: Sequence[Given], made: Comparison) -> list[Explained]:
    """The causes of what differs, each with its witness's ways."""
    probes = made.answers.probes.asked if made.answers is not None else ()
    taken = made.answers.named.source_ports if made.answers is not None else ()
    return explained(made.host, [one.side for one in sides], probes, difference.causes(made.found), taken)
