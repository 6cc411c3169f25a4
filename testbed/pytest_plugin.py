"""The pytest plugin: beds as fixtures, counters in failure reports.

Every test has its own beds in namespaces of its own process, so tests run in parallel under pytest-xdist without side
effects. Every pytest run of an environment with this package loads this module. So a bed's dependencies (scapy,
pyroute2, the bed itself) are imported when a fixture is used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

import pytest

from testbed.errors import TestbedError
from testbed.kernel.programs import LEGACY, NFT
from testbed.pytest_stash import BED_FACTORY, HOSTS, no_hosts
from testbed.visible import visible

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.bed import Testbed
    from testbed.bed_parts import Host, Rules
    from testbed.rules import AnyRuleset


class MakeBed(Protocol):
    """The fixture `make_bed`."""

    def __call__(
        self, host: Host | None = None, rules: Rules | None = None, *, engine: str | None = None
    ) -> Testbed: ...


ALL = "all"
RULE_COVERAGE = "--rule-coverage"
COVERAGE_FILE = "rule-coverage.json"
EXPOSURE_SPEC = "exposure.yaml"
_BACKENDS = (NFT, LEGACY)
BEDS: pytest.StashKey[list[Testbed]] = pytest.StashKey()
_COMPARED = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("testbed", "docker-host-testbed")
    group.addoption(
        "--testbed-backend",
        choices=[*_BACKENDS, ALL],
        help="load rules with iptables-nft, with iptables-legacy, or run every test with each (default: nft)",
    )
    group.addoption(
        "--testbed-rules",
        metavar="FILE",
        help="rules (iptables' dumps or nft's) of every bed without a host of its own",
    )
    group.addoption(
        "--testbed-keep-network",
        action="store_true",
        help="leave tests that use a bed in the machine's own network instead of an empty namespace",
    )
    group.addoption(
        RULE_COVERAGE,
        nargs="?",
        const=COVERAGE_FILE,
        metavar="FILE",
        help=f"record which rules the packets of the tests reached, matched and missed (default file: {COVERAGE_FILE})",
    )
    group.addoption(
        "--testbed-rootless", action="store_true", help="build beds in a user namespace, as for an ordinary user"
    )
    group.addoption(
        "--testbed-artifacts",
        metavar="DIR",
        help="keep a failed test's rules, counters, journeys, packets (pcapng) and a script to reproduce them there",
    )
    group.addoption(
        "--testbed-shell",
        nargs="?",
        const="shell",
        choices=["shell", "pause"],
        help="open a shell in the host of a failed test's bed; with `pause` wait, to enter it from another terminal",
    )
    parser.addini("testbed_backend", "default of --testbed-backend", default="")
    parser.addini("testbed_rules", "rule set of every bed without others, as a path from the ini file", default="")
    parser.addini("testbed_host", "host file of every bed without another, as a path from the ini file", default="")
    parser.addini("testbed_engine", "version of Docker's engine that writes the rules of a host", default="")
    parser.addini("testbed_rootless", "default of --testbed-rootless", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "testbed(host=None, engine=None, rules=None, backend=None): what the fixture `bed` is made of: a host file, "
        "a version of Docker's engine, a rule file, the backend that loads the rules",
    )
    if os.geteuid() != 0 or config.getoption("--testbed-rootless") or config.getini("testbed_rootless"):
        from testbed import pytest_rootless

        pytest_rootless.enter_at_start(config)
    if (folder := config.getoption("--testbed-artifacts")) is not None:
        from testbed import pytest_artifacts

        config.pluginmanager.register(pytest_artifacts.Artifacts(folder), pytest_artifacts.NAME)
    if (kind := config.getoption("--testbed-shell")) is not None:
        from testbed import pytest_shell

        config.pluginmanager.register(pytest_shell.FailedBedShell(config, kind), pytest_shell.NAME)
    if (path := config.getoption(RULE_COVERAGE)) is not None:
        from testbed import pytest_coverage

        config.pluginmanager.register(pytest_coverage.RuleCoverage(path), pytest_coverage.NAME)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect exposure specs, which are imported for when there is one."""
    if file_path.name != EXPOSURE_SPEC and not file_path.name.endswith(f".{EXPOSURE_SPEC}"):
        return None
    from testbed.pytest_exposure import SpecFile

    spec: SpecFile = SpecFile.from_parent(parent, path=file_path)
    spec.backends, spec.rules = tuple(_backends(parent.config)), parent.config.getoption("--testbed-rules")
    return spec


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Return a line with kernel, backends and rules; iptables' version is read if the run names a backend."""
    rules = config.getoption("--testbed-rules") or config.getini("testbed_rules") or "the article's"
    return [f"testbed: Linux {os.uname().release}, {_versions(config)}, rules: {visible(rules)}"]


def _versions(config: pytest.Config) -> str:
    if not _named_backend(config):
        return f"backend {NFT}"
    from testbed.kernel.requirements import iptables_version

    return ", ".join(f"{name}: {iptables_version(name) or 'not installed'}" for name in _backends(config))


def pytest_collection_finish(session: pytest.Session) -> None:
    if os.geteuid() != 0:
        from testbed import pytest_rootless

        pytest_rootless.enter_for(session.items)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test its backends; refuse a marker with wrong arguments before any test runs."""
    marker = metafunc.definition.get_closest_marker("testbed")
    if marker is not None:
        _require_usable(metafunc.definition)
    if "testbed_backend" in metafunc.fixturenames:
        marked = marker.kwargs.get("backend") if marker is not None else None
        metafunc.parametrize("testbed_backend", _backends(metafunc.config, marked), scope="session")


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    """Return the differing lines; a report section has all lines, since pytest truncates long explanations."""
    if op != "==" or not isinstance(right, str) or "testbed.bed" not in sys.modules:
        return None
    from testbed.observe.journey import Journey
    from testbed.report.counters import comparison, summary
    from testbed.report.journey import lines, parting
    from testbed.rules.reading import CounterReading

    if isinstance(left, CounterReading):
        config.stash[_COMPARED] = visible("\n".join(comparison(left, right)))
        return [visible(line) for line in summary(left, right)]
    if isinstance(left, Journey):
        told = [visible(line) for line in parting(left, right)]
        config.stash[_COMPARED] = "\n".join([*told, "", *(line.plain for line in lines(left))])
        return told
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add sections to the report of a failed test: expected and actual counters, else the counters of its beds."""
    report = yield
    compared = item.config.stash.get(_COMPARED, "")
    item.config.stash[_COMPARED] = ""
    if call.when == "call" and report.failed:
        if compared:
            report.sections.append(("expected and actual", compared))
        else:
            report.sections += [_counted(bed) for bed in item.stash.get(BEDS, []) if not bed.closed]
    return report


def _counted(bed: Testbed) -> tuple[str, str]:
    try:
        reading = bed.counters()
    except TestbedError as error:
        return "the rules' counters", f"cannot be read: {error}"
    return "what the rules have counted", visible(reading.text(reading.moved)) or "nothing"


@pytest.fixture
def testbed_rules(request: pytest.FixtureRequest) -> AnyRuleset:
    """Return the rule set of `--testbed-rules`, of the marker or of the ini file, else the article's."""
    from testbed import pytest_settings
    from testbed.docker import article

    with _in_words():
        rules = pytest_settings.of_node(request.node).read_rules
        return article.ruleset() if rules is None else rules


@pytest.fixture
def make_bed(request: pytest.FixtureRequest, testbed_backend: str) -> Iterator[MakeBed]:
    """Make beds: `make_bed(host, rules, engine=...)`; all beds end with the test.

    `host` is a DockerHost, the path of a host file, or a Topology. `rules` is a rule set or the path of a rule file;
    without them a host has the rules of `engine`. What is not given is that of the marker, the options and the ini
    file; without any it is the article's host with its own rules. A TestbedError about the host or the rules fails
    the test with its sentence.
    """
    from testbed import pytest_settings
    from testbed.bed import Testbed
    from testbed.kernel.backends import backend_for
    from testbed.kernel.namespace import quarantine
    from testbed.kernel.requirements import require

    beds: list[Testbed] = []
    hosts = no_hosts()
    request.node.stash[BEDS], request.node.stash[HOSTS] = beds, hosts
    with ExitStack() as ends, _in_words():
        if not request.config.getoption("--testbed-keep-network"):
            ends.enter_context(quarantine())

        def make(host: Host | None = None, rules: Rules | None = None, *, engine: str | None = None) -> Testbed:
            with _in_words():
                asked = pytest_settings.of_node(request.node).with_(host, rules, engine)
                topology, loaded, described = asked.topology_and_rules()
                require(backend_for(loaded, testbed_backend).name)
                making = request.config.stash.get(BED_FACTORY, Testbed)
                bed = ends.enter_context(making(topology, loaded, testbed_backend))
            beds.append(bed)
            hosts.extend([] if described is None else [described])
            return bed

        yield make


@pytest.fixture
def bed(make_bed: MakeBed) -> Testbed:
    """Return a new bed: of the marker, the options and the ini file; without any the article's host and rules."""
    return make_bed()


def _require_usable(node: pytest.Item) -> None:
    from testbed.pytest_settings import require_usable

    try:
        require_usable(node)
    except TestbedError as error:
        raise pytest.UsageError(str(error)) from None


def _named_backend(config: pytest.Config) -> str:
    return str(config.getoption("--testbed-backend") or config.getini("testbed_backend"))


def _backends(config: pytest.Config, marked: str | None = None) -> list[str]:
    """Return the backends of a test; an option comes before its marker, the marker before the ini file."""
    chosen = config.getoption("--testbed-backend") or marked or config.getini("testbed_backend") or NFT
    if chosen not in (*_BACKENDS, ALL):
        raise pytest.UsageError(f"the backend of the testbed is {chosen!r}; it can be {', '.join([*_BACKENDS, ALL])}")
    return list(_BACKENDS) if chosen == ALL else [chosen]


@contextmanager
def _in_words() -> Iterator[None]:
    """Turn a TestbedError into a test failure with the error's text alone, without a traceback."""
    try:
        yield
    except TestbedError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
