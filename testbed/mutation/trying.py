"""Tries a case that was written for a mutant: on the rules, where it has to pass, and on the mutant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testbed.bed import Testbed
from testbed.docker import DockerHost, article
from testbed.errors import NotDelivered
from testbed.kernel.namespace import quarantine
from testbed.observe import exchange
from testbed.rules.ruleset import Ruleset


def notices(source: str, host: DockerHost, rules: Ruleset, changed: Ruleset, backend: str) -> bool:
    """Whether a case passes on the rules and fails on the mutant; TestbedError when a bed cannot be made."""
    return _passes(source, host, rules, backend) and not _with(changed, lambda: _passes(source, host, rules, backend))


def _with(changed: Ruleset, run: Callable[[], bool]) -> bool:
    with exchange.changed(lambda _: changed):
        return run()


def _passes(source: str, host: DockerHost, rules: Ruleset, backend: str) -> bool:
    defined: dict[str, Any] = {}
    exec(compile(source, "<case>", "exec"), defined)  # noqa: S102 - our own text, tried before it is shown
    (case,) = (value for name, value in defined.items() if name.startswith("test_"))
    with quarantine(), Testbed(article.topology(host), rules, backend) as bed:
        try:
            case(bed) if "make_bed" not in source else case(lambda *_, **__: bed)
        except (AssertionError, NotDelivered):
            return False
    return True
