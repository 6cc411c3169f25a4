"""Exposure specs as tests: pytest collects `exposure.yaml` and `*.exposure.yaml`, a test for each entry.

Imported when such a file is collected. A test has a bed of its own, made as cases' beds are, so that rule coverage and
mutation testing see it. Its rules are analysed as they are loaded, and the witnesses of its entry are sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from testbed.bed import Testbed
from testbed.docker import DockerHost, article
from testbed.docker.compose.project import compose_file_in
from testbed.docker.engines import chosen_for
from testbed.errors import TestbedError
from testbed.exposure.kernel import confirmed_one_by_one
from testbed.exposure.made import ExposureStand
from testbed.exposure.spec import entries
from testbed.exposure.spec.check import SpecCheck, SpecResult, Violation
from testbed.exposure.spec.entries import ExposureSpec, SpecEntry
from testbed.exposure.spec.tried import SpecReport, checked
from testbed.kernel.namespace import quarantine
from testbed.pytest_stash import BED_FACTORY, HOSTS
from testbed.rules import AnyRuleset, rulefile

ARTICLE = "article"
NEWEST_MEASURED = "28"
_REST = "nothing else is open"


@dataclass(frozen=True)
class Variant:
    """What one test of a spec takes: an engine, `rules` of a file or `article`, and the backend that loads them."""

    rules: str
    backend: str

    def __str__(self) -> str:
        return f"{self.rules}-{self.backend}"


class SpecBroken(Exception):
    """A violation, with what is shown of it."""

    def __init__(self, report: SpecReport) -> None:
        super().__init__(report.result.source)
        self.report = report


class SpecFile(pytest.File):
    """A spec; its tests are its entries, and that nothing else is open, for each engine and backend."""

    backends: tuple[str, ...]
    rules: str | None

    def collect(self) -> Iterator[pytest.Item]:
        try:
            spec = entries.read(self.path)
        except TestbedError as error:
            raise self.CollectError(str(error)) from error
        for variant in self._variants(spec):
            for number, entry in enumerate(spec.entries):
                name = f"{entry}[{variant}]"
                yield SpecItem.from_parent(self, name=name, spec=spec, variant=variant, number=number)
            yield SpecItem.from_parent(self, name=f"{_REST}[{variant}]", spec=spec, variant=variant, number=None)

    def _variants(self, spec: ExposureSpec) -> list[Variant]:
        engines: Iterable[str] = spec.engines or (NEWEST_MEASURED if self._described(spec) else ARTICLE,)
        names = ("rules",) if self.rules else engines
        return [Variant(name, backend) for name in names for backend in spec.backends or self.backends]

    def _described(self, spec: ExposureSpec) -> str | None:
        """Return the path of the compose file that a spec is about: the one it names, else the one beside it."""
        folder = self.path.parent
        if spec.host:
            return str(folder / spec.host)
        beside = compose_file_in(folder)
        return str(beside) if beside is not None else None

    def stand(self, spec: ExposureSpec, variant: Variant) -> ExposureStand:
        """Return the host and the rules of a variant."""
        path = self._described(spec)
        return _stand(path, self.rules, variant)


class SpecItem(pytest.Item):
    """One entry of a spec, or with `number` None that nothing else is open, with one engine and backend."""

    def __init__(self, *, spec: ExposureSpec, variant: Variant, number: int | None, **given: Any) -> None:
        super().__init__(**given)
        self.spec = spec
        self.variant = variant
        self.number = number

    @property
    def _file(self) -> SpecFile:
        assert isinstance(self.parent, SpecFile)
        return self.parent

    def runtest(self) -> None:
        stand = self._file.stand(self.spec, self.variant)
        self.stash[HOSTS] = [stand.host]
        making = self.config.stash.get(BED_FACTORY, Testbed)
        with quarantine(), making(stand.topology, stand.rules, stand.backend) as bed:
            loaded = replace(stand, rules=bed.in_force)
            check = _check(loaded, self.spec)
            result = _result(check)
            violations = self._violations(result)
            if not violations:
                confirmed_one_by_one(list(check.confirming(self._entry)), bed, check.reachability.unmodelled)
        if violations:
            raise SpecBroken(self._report(loaded, violations))
        if self.number is None and result.unjudged:
            raise SpecBroken(SpecReport(replace(result, violations=()), (), loaded))

    @property
    def _entry(self) -> SpecEntry | None:
        return self.spec.entries[self.number] if self.number is not None else None

    def _violations(self, result: SpecResult) -> tuple[Violation, ...]:
        if self._entry is None:
            return result.open
        return tuple(one for one in result.violations if one.entry is not None and one.entry.entry == self._entry)

    def _report(self, stand: ExposureStand, violations: tuple[Violation, ...]) -> SpecReport:
        whole = checked(stand, self.spec)
        shown = tuple(
            one for one in whole.shown if self._violations(replace(whole.result, violations=(one.violation,)))
        )
        return SpecReport(replace(whole.result, violations=violations), shown, stand)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, SpecBroken):
            from testbed.report.exposure_spec import lines

            return "\n".join(line.plain for line in lines(excinfo.value.report, ways=True))
        if isinstance(excinfo.value, TestbedError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        line = self._entry.line - 1 if self._entry is not None else 0
        return self.path, line, self.name


@lru_cache(maxsize=16)
def _stand(path: str | None, rules: str | None, variant: Variant) -> ExposureStand:
    from testbed import described_host

    host: DockerHost = article.HOST if path is None else described_host.described(path).host
    if rules:
        return ExposureStand.of(host, rulefile.read(rules), variant.backend)
    if variant.rules == ARTICLE:
        return ExposureStand.of(host, article.ruleset(), variant.backend)
    engine = chosen_for(host, variant.rules)
    own: AnyRuleset = engine.rules(host)
    return ExposureStand.of(engine.built(host), own, variant.backend)


_checks: dict[tuple[str, str, int], SpecCheck] = {}
_results: dict[int, SpecResult] = {}


def _check(stand: ExposureStand, spec: ExposureSpec) -> SpecCheck:
    """Return the check of a stand; the last one is kept, as the next entry has the same rules."""
    key = stand.rules.text, spec.source, hash(stand.host)
    if key not in _checks:
        _checks.clear()
        _results.clear()
        _checks[key] = SpecCheck(stand, spec)
    return _checks[key]


def _result(check: SpecCheck) -> SpecResult:
    if id(check) not in _results:
        _results[id(check)] = check.result()
    return _results[id(check)]
