"""The pytest plugin: beds as fixtures, counters in failure reports.

Every test has beds of its own in namespaces of its own process, so tests run in parallel under pytest-xdist without
knowing of each other.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from testbed import pytest_coverage
from testbed.bed import Testbed
from testbed.docker import DockerHost, article
from testbed.errors import TestbedError
from testbed.kernel.backends import backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import iptables_version, require
from testbed.kernel.xtables import BACKENDS
from testbed.observe.counting import Counting
from testbed.observe.journey import Journey
from testbed.report.counters import comparison, summary
from testbed.report.journey import lines, parting
from testbed.rules import AnyRuleset, rulefile
from testbed.rules.reading import CounterReading
from testbed.stash import HOSTS, MAKING, no_hosts
from testbed.topology import Topology

MakeBed = Callable[..., Testbed]
ALL = "all"
_BEDS = pytest.StashKey[list[Testbed]]()
_COMPARED = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("testbed", "docker-host-testbed")
    group.addoption(
        "--testbed-backend",
        choices=[*BACKENDS, ALL],
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
    pytest_coverage.add_option(group)
    parser.addini("testbed_backend", "default of --testbed-backend", default="nft")


def pytest_configure(config: pytest.Config) -> None:
    if (path := config.getoption(pytest_coverage.OPTION)) is not None:
        config.pluginmanager.register(pytest_coverage.RuleCoverage(path), pytest_coverage.NAME)


def pytest_report_header(config: pytest.Config) -> list[str]:
    versions = ", ".join(f"{name}: {iptables_version(name) or 'not installed'}" for name in _backends(config))
    rules = config.getoption("--testbed-rules") or "the article's"
    return [f"testbed: Linux {platform.release()}, {versions}, rules: {rules}"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "testbed_backend" in metafunc.fixturenames:
        metafunc.parametrize("testbed_backend", _backends(metafunc.config), scope="session")


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    """The differing lines; all lines follow in a section of the report, since pytest cuts long explanations short."""
    if op == "==" and isinstance(left, CounterReading) and isinstance(right, str):
        config.stash[_COMPARED] = "\n".join(comparison(left, right))
        return summary(left, right)
    if op == "==" and isinstance(left, Journey) and isinstance(right, str):
        told = parting(left, right)
        config.stash[_COMPARED] = "\n".join([*told, "", *(line.plain for line in lines(left))])
        return told
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On a failure, show expected and actual counters, or what the rules of every bed of the test have counted."""
    report = yield
    compared = item.config.stash.get(_COMPARED, "")
    item.config.stash[_COMPARED] = ""
    if call.when == "call" and report.failed:
        if compared:
            report.sections.append(("expected and actual", compared))
        else:
            report.sections += [_counted(bed) for bed in item.stash.get(_BEDS, [])]
    return report


def _counted(bed: Testbed) -> tuple[str, str]:
    try:
        reading = bed.counters()
    except TestbedError as error:
        return "the rules' counters", f"cannot be read: {error}"
    return "what the rules have counted", reading.text(reading.moved) or "nothing"


@pytest.fixture(scope="session")
def rules_under_test(request: pytest.FixtureRequest) -> AnyRuleset:
    """The rule set of `--testbed-rules`, else the article's."""
    path = request.config.getoption("--testbed-rules")
    with _in_words():
        return rulefile.read(path) if path else article.ruleset()


@pytest.fixture
def make_bed(request: pytest.FixtureRequest, testbed_backend: str, rules_under_test: AnyRuleset) -> Iterator[MakeBed]:
    """Makes beds: `make_bed(host, rules=...)`.

    `host` is a DockerHost, for which the rules of engine 20.10 are loaded where none are given, or a Topology; without
    it the article's host stands up, with the rules under test. All beds end with the test.
    """
    beds: list[Testbed] = []
    hosts = no_hosts()
    request.node.stash[_BEDS], request.node.stash[HOSTS] = beds, hosts
    with ExitStack() as ends, _in_words():
        if not request.config.getoption("--testbed-keep-network"):
            ends.enter_context(quarantine())

        def make(host: DockerHost | Topology | None = None, rules: AnyRuleset | None = None) -> Testbed:
            topology = host if isinstance(host, Topology) else article.topology(host or article.HOST)
            if rules is None:
                rules = article.rules_of(host) if isinstance(host, DockerHost) else rules_under_test
            with _in_words():
                require(backend_for(rules, testbed_backend).name)
                making = request.config.stash.get(MAKING, Testbed)
                bed = ends.enter_context(making(topology, rules, testbed_backend))
            beds.append(bed)
            hosts.extend([host or article.HOST] if not isinstance(host, Topology) else [])
            return bed

        yield make


@pytest.fixture
def article_bed(make_bed: MakeBed) -> Testbed:
    """The article's host with the rules under test, fresh."""
    return make_bed()


@pytest.fixture
def counting(article_bed: Testbed) -> Callable[[], Counting]:
    """The counters of the article's bed as a context: `with counting() as counted: ...`, then `counted.result`."""
    return article_bed.counting


def _backends(config: pytest.Config) -> list[str]:
    chosen = config.getoption("--testbed-backend") or config.getini("testbed_backend")
    if chosen not in (*BACKENDS, ALL):
        raise pytest.UsageError(f"testbed_backend is {chosen!r}; it can be {', '.join([*BACKENDS, ALL])}")
    return list(BACKENDS) if chosen == ALL else [chosen]


@contextmanager
def _in_words() -> Iterator[None]:
    """Turns an error in the user's words into a failure of that text alone, without a traceback."""
    try:
        yield
    except TestbedError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
