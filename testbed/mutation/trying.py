"""Tries a case that was written for a mutant: on the rules, where it has to pass, and on the mutant."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from testbed.bed import Testbed
from testbed.docker import DockerHost, article
from testbed.errors import NotDelivered
from testbed.kernel.namespace import quarantine
from testbed.mutation.casewriting import Setting
from testbed.observe import exchange
from testbed.rules.ruleset import Ruleset


def notices(source: str, made: Setting, changed: Ruleset, backend: str) -> bool:
    """Whether a case passes on the rules and fails on the mutant; TestbedError when a bed cannot be made."""
    if not _passes(source, made, backend):
        return False
    with exchange.changed(lambda rules: changed if rules == made.rules else None):
        return not _passes(source, made, backend)


def _passes(source: str, made: Setting, backend: str) -> bool:
    """Whether the case passes, called with what its fixtures would give it."""
    defined: dict[str, Any] = {}
    exec(compile(source, "<case>", "exec"), defined)  # noqa: S102 - our own text, tried before it is shown
    (case,) = (value for name, value in defined.items() if name.startswith("test_"))
    with quarantine(), ExitStack() as opened:

        def make_bed(host: DockerHost = made.host, rules: Ruleset = made.rules) -> Testbed:
            return opened.enter_context(Testbed(article.topology(host), rules, backend))

        fixtures: dict[str, Callable[[], object]] = {
            "article_bed": make_bed,
            "make_bed": lambda: make_bed,
            "rules_under_test": lambda: made.rules,
        }
        try:
            case(*(fixtures[name]() for name in made.fixtures.split(", ")))
        except (AssertionError, NotDelivered, OSError):
            return False
    return True
