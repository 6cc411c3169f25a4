"""The rules whose coverage is asked for, and a run of the cases that records it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file
from pathlib import Path

import pytest

from testbed import pytest_coverage, pytest_plugin, sessions
from testbed.bed import Testbed
from testbed.coverage.recording import rule_set_of
from testbed.coverage.records import Coverage, RuleSetRecord
from testbed.docker import DockerHost, article
from testbed.docker.engines import DEFAULT_ENGINE, chosen_for
from testbed.errors import TestbedError
from testbed.kernel.backends import backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.kernel.xtables import BACKENDS
from testbed.rules import AnyRuleset, rulefile
from testbed.tasks.host_options import HostOptions

_ALL = "all"


@dataclass(frozen=True, slots=True)
class AskedFor:
    """The rules that are reported on; `file` is where they stand."""

    host: DockerHost
    rules: AnyRuleset
    file: Path | None


def asked_for(rules: str | None, host: HostOptions | None, engine: str | None) -> AskedFor:
    """Return the rules that the options name, read or written by an engine."""
    docker_host = host.described.host if host else article.HOST
    if rules:
        return AskedFor(docker_host, rulefile.read(rules), Path(rules))
    if host or engine:
        return AskedFor(docker_host, chosen_for(docker_host, engine or DEFAULT_ENGINE).rules(docker_host), None)
    with as_file(article.RULES_FILE) as file:
        return AskedFor(docker_host, article.ruleset(), file)


def empty_record(asked: AskedFor, backend: str) -> RuleSetRecord:
    """The rules in the kernel's words, before any packet."""
    first = "nft" if backend == _ALL else backend
    for one in BACKENDS if backend == _ALL else (first,):
        require(backend_for(asked.rules, one).name)
    with quarantine(), Testbed(article.topology(asked.host), asked.rules, first) as bed:
        return rule_set_of(bed.loaded, bed.backend.book(bed.host))


class _Keeper:
    """Keeps what the run has recorded."""

    def __init__(self) -> None:
        self.coverage = Coverage()

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        recorded = config.pluginmanager.getplugin(pytest_coverage.NAME)
        if recorded is not None:
            self.coverage = recorded.coverage


def measured(arguments: list[str], out: str) -> Coverage:
    """What the cases' packets did; TestbedError where that is not known for certain."""
    keeper = _Keeper()
    code = sessions.run([*arguments, f"{pytest_plugin.RULE_COVERAGE}={out}"], [keeper])
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise TestbedError("no case was chosen, so nothing was measured.", "Look at -k and --path.")
    sessions.require_start(code)
    if keeper.coverage.troubles:
        raise TestbedError(f"the trace is not whole: {keeper.coverage.troubles[0]}", "Nothing is told of half a trace.")
    if code != pytest.ExitCode.OK:
        raise TestbedError("a case fails, so nothing was measured.", "Coverage is that of cases that pass.")
    return keeper.coverage
