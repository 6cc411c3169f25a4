"""What an edit of a rule set changes, asked of the kernel: shared by the tests of behaviours."""

from __future__ import annotations

from collections.abc import Callable

from testbed import Ruleset
from testbed.behaviour import difference, table
from testbed.behaviour.difference import Change
from testbed.behaviour.probing import ask
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import DockerHost, article
from testbed.rules import save

Edit = tuple[str, str, list[str], str]  # old and new text, the kinds of change it makes, the witness of the gravest


def silent(_: int) -> Callable[[], None]:
    return lambda: None


def changes(old: Ruleset, new: Ruleset, backends: tuple[str, str], host: DockerHost = article.HOST) -> list[Change]:
    answers = ask(host, [RulesetVariant(old, backends[0]), RulesetVariant(new, backends[1])], silent)
    before, now = (table.rows(side) for side in answers.sides)
    assert len(before) == len(now) > 50
    return difference.changes(before, now)


def edited(rules: Ruleset, old: str, new: str) -> Ruleset:
    text = save.render(rules)
    assert text.count(old) == 1
    return save.parse(text.replace(old, new))


def named(edits: list[Edit]) -> list[str]:
    return [f"{old.strip()} to {new.strip()}" for old, new, *_ in edits]


def kinds_and_witness(found: list[Change]) -> tuple[list[str], str]:
    """The kinds of change, the gravest first, and its witness; empty where nothing behaves differently."""
    causes = difference.causes(found)
    return list(dict.fromkeys(cause.kind for cause in causes)), causes[0].witness.probe if causes else ""
