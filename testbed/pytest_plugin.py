"""The pytest plugin: beds as fixtures, counters in failure reports.

Every test has its own beds in namespaces of its own process, so tests run in parallel under pytest-xdist without side
effects. Every pytest run of an environment with this package loads this module. So a bed's dependencies (scapy,
pyroute2, the bed itself) are imported when a fixture is used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.errors import TestbedError
from testbed.kernel.programs import LEGACY, NFT
from testbed.pytest_stash import BED_FACTORY, HOSTS, no_hosts
from testbed.visible import visible

if TYPE_CHECKING:
    from testbed.bed import Testbed
    from testbed.docker import DockerHost
    from testbed.observe.counting import Counting
    from testbed.rules import AnyRuleset
    from testbed.topology import Topology

    Host = DockerHost | Topology | str | Path

MakeBed = Callable[..., "Testbed"]
ALL = "all"
RULE_COVERAGE = "--rule-coverage"
COVERAGE_FILE = "rule-coverage.json"
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
        "--testbed-rules", metavar="FILE", help="rule set (iptables' dumps or nft's) in place of the article's"
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
    parser.addini("testbed_rootless", "default of --testbed-rootless", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
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


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Return a line with kernel, backends and rules; iptables' version is read if the run names a backend."""
    rules = config.getoption("--testbed-rules") or "the article's"
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
    if "testbed_backend" in metafunc.fixturenames:
        metafunc.parametrize("testbed_backend", _backends(metafunc.config), scope="session")


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
            report.sections += [_counted(bed) for bed in item.stash.get(BEDS, [])]
    return report


def _counted(bed: Testbed) -> tuple[str, str]:
    try:
        reading = bed.counters()
    except TestbedError as error:
        return "the rules' counters", f"cannot be read: {error}"
    return "what the rules have counted", visible(reading.text(reading.moved)) or "nothing"


@pytest.fixture(scope="session")
def rules_under_test(request: pytest.FixtureRequest) -> AnyRuleset:
    """Return the rule set of `--testbed-rules`, else the article's."""
    from testbed.docker import article
    from testbed.rules import rulefile

    path = request.config.getoption("--testbed-rules")
    with _in_words():
        return rulefile.read(path) if path else article.ruleset()


@pytest.fixture
def make_bed(request: pytest.FixtureRequest, testbed_backend: str, rules_under_test: AnyRuleset) -> Iterator[MakeBed]:
    """Make beds: `make_bed(host, rules=...)`; all beds end with the test.

    `host` is a DockerHost, the path of a host file, or a Topology; by default the article's host. `rules` is a rule set
    or the path of a rule file. By default a DockerHost has the rules of engine 20.10, and any other bed the rules under
    test. A TestbedError about the host or the rules fails the test with its sentence.
    """
    from testbed.bed import Testbed
    from testbed.docker import DockerHost, article
    from testbed.kernel.backends import backend_for
    from testbed.kernel.namespace import quarantine
    from testbed.kernel.requirements import require
    from testbed.rules import rulefile
    from testbed.topology import Topology

    beds: list[Testbed] = []
    hosts = no_hosts()
    request.node.stash[BEDS], request.node.stash[HOSTS] = beds, hosts
    with ExitStack() as ends, _in_words():
        if not request.config.getoption("--testbed-keep-network"):
            ends.enter_context(quarantine())

        def make(host: Host | None = None, rules: AnyRuleset | str | Path | None = None) -> Testbed:
            with _in_words():
                described = _described(host)
                if rules is None:
                    rules = article.rules_of(described) if isinstance(described, DockerHost) else rules_under_test
                elif isinstance(rules, str | Path):
                    rules = rulefile.read(str(rules))
                require(backend_for(rules, testbed_backend).name)
                topology = described if isinstance(described, Topology) else article.topology(described or article.HOST)
                making = request.config.stash.get(BED_FACTORY, Testbed)
                bed = ends.enter_context(making(topology, rules, testbed_backend))
            beds.append(bed)
            hosts.extend([] if isinstance(described, Topology) else [described or article.HOST])
            return bed

        yield make


def _described(host: Host | None) -> DockerHost | Topology | None:
    """Return the host; a path is read as a host file. Raises TestbedError for a value that describes no host."""
    from testbed import described_host
    from testbed.docker import DockerHost
    from testbed.topology import Topology

    if isinstance(host, str | Path):
        return described_host.read(host)
    if host is None or isinstance(host, DockerHost | Topology):
        return host
    raise TestbedError(f"{host!r} describes no host.", "Give a DockerHost, a Topology or the path of a host file.")


@pytest.fixture
def article_bed(make_bed: MakeBed) -> Testbed:
    """Return a new bed of the article's host with the rules under test."""
    return make_bed()


@pytest.fixture
def counting(article_bed: Testbed) -> Callable[[], Counting]:
    """Return a context for the counters of the article's bed: `with counting() as counted:`, then `counted.result`."""
    return article_bed.counting


def _named_backend(config: pytest.Config) -> str:
    return str(config.getoption("--testbed-backend") or config.getini("testbed_backend"))


def _backends(config: pytest.Config) -> list[str]:
    chosen = _named_backend(config) or NFT
    if chosen not in (*_BACKENDS, ALL):
        raise pytest.UsageError(f"testbed_backend is {chosen!r}; it can be {', '.join([*_BACKENDS, ALL])}")
    return list(_BACKENDS) if chosen == ALL else [chosen]


@contextmanager
def _in_words() -> Iterator[None]:
    """Turn a TestbedError into a test failure with the error's text alone, without a traceback."""
    try:
        yield
    except TestbedError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
