"""invoke coverage, and pytest --rule-coverage in a stranger's repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from own_machine import RULES, Machine, assert_nothing_is_left, assert_refused

from testbed.coverage import records

FORWARDED = ("--path", "cases/article/test_8_postrouting.py", "--jobs", "0")
RETURN = ("filter", "DOCKER-USER", "-A DOCKER-USER -j RETURN")
OWN = """
from testbed import Testbed
from testbed.docker import article

PUBLISHED = ("192.168.66.100", 80)


def test_by_the_fixture(bed):
    assert bed.connect("client", PUBLISHED).syn.delivered_to == "web"


def test_by_hand(make_bed):
    with Testbed(article.topology(), article.ruleset()) as bed, bed.tracing() as tracing:
        syn = bed.connect("client", PUBLISHED).syn
        assert "-A DOCKER-USER -j RETURN" in tracing.journey(syn)


def test_nothing():
    pass
"""
BEHIND_ITS_BACK = """
def test_rules_by_a_program(bed):
    bed.host.command(["iptables-nft", "-I", "DOCKER-USER", "-j", "DROP"])
    assert not bed.connect("client", ("192.168.66.100", 80)).syn.delivered
"""


def test_it_tells_what_was_reached_and_writes_it_for_other_programs(machine: Machine, tmp_path: Path) -> None:
    files = {name: tmp_path / f"coverage.{name}" for name in ("html", "lcov", "cobertura")}
    written = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    finished = machine.invoke("coverage", *FORWARDED, *written)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    last = finished.stdout.strip().splitlines()[-1]
    assert last.startswith("the article's rule set: rules ")
    assert "cannot be missed, it asks nothing of a packet" in finished.stdout
    assert f"SF:{RULES}" in files["lcov"].read_text()
    assert 'filename="testbed/docker/article.rules"' in files["cobertura"].read_text()
    assert "test_8_postrouting.py::test_" in files["html"].read_text().replace("<wbr>", "")
    assert_nothing_is_left(machine)


def test_too_little_is_exit_code_1_and_programs_get_json_alone(machine: Machine) -> None:
    finished = machine.invoke("coverage", *FORWARDED, "--json", "--fail-under", "100")
    assert finished.returncode == 1, finished.stdout + finished.stderr
    told = json.loads(finished.stdout)
    assert 0 < told["totals"]["rules"]["percent"] < 100
    assert "and --fail-under asks for 100 %" in finished.stderr
    (returns,) = [rule for rule in told["rules"] if (rule["table"], rule["chain"], rule["rule"]) == RETURN]
    assert returns["reached"] == returns["matched"] > 0
    assert returns["never"] == {"cannot be missed": "it asks nothing of a packet"}


def test_rules_of_an_engine_are_written_to_a_file_that_the_report_names(machine: Machine, tmp_path: Path) -> None:
    rules, tracefile = tmp_path / "engine.rules", tmp_path / "engine.lcov"
    case = ("--path", "cases/engines/test_every_clause.py", "-k", "28.2.2", "--jobs", "0")
    finished = machine.invoke(
        "coverage", "--engine", "28.5", *case, "--rules-out", str(rules), "--lcov", str(tracefile)
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "the rules of engine 28.2.2: rules " in finished.stdout
    lines = rules.read_text().splitlines()
    told = tracefile.read_text().splitlines()
    assert f"SF:{rules}" in told
    numbers = [int(line.removeprefix("DA:").partition(",")[0]) for line in told if line.startswith("DA:")]
    assert {lines[number - 1][:1] for number in numbers} == {"-", ":"}


@pytest.mark.parametrize(
    ("words", "sentence", "remedy"),
    [
        (("--path", "nowhere"), "there are no cases in nowhere", "--path"),
        (("--path", "cases/article", "-k", "no_such_case"), "no case was chosen, so nothing was measured", "-k"),
        (("--engine", "1.0"), "engine 1.0 is older than what is known", "20.10"),
        (("--engine", "29", *FORWARDED), "no case loaded the rules of engine 29", "Choose other cases"),
    ],
)
def test_what_cannot_be_measured_is_said(machine: Machine, words: tuple[str, ...], sentence: str, remedy: str) -> None:
    assert_refused(machine.invoke("coverage", *words), sentence, remedy)
    assert_nothing_is_left(machine)


def test_cases_that_fail_measure_nothing(machine: Machine, tmp_path: Path) -> None:
    changed = tmp_path / "my.rules"
    changed.write_text(RULES.read_text().replace("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -j DROP"))
    finished = machine.invoke("coverage", *FORWARDED, "--rules", str(changed))
    assert_refused(finished, "a case fails, so nothing was measured", "cases that pass")


@pytest.mark.parametrize("processes", ["0", "2"])
def test_the_option_works_in_a_strangers_repository(machine: Machine, tmp_path: Path, processes: str) -> None:
    """Without any of this repository's own configuration, in one process and in several."""
    (tmp_path / "test_own.py").write_text(OWN)
    finished = machine.pytest("-n", processes, "--rule-coverage=own.json", "test_own.py", folder=tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "rule coverage: 1 rule set loaded, 2 tests reached a rule: own.json" in finished.stdout
    found = records.read(tmp_path / "own.json")
    assert found.tests_reaching(*RETURN) == ("test_own.py::test_by_hand[nft]", "test_own.py::test_by_the_fixture[nft]")
    assert not found.troubles
    assert_nothing_is_left(machine)


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_trace_that_is_not_whole_fails_the_run(machine: Machine, tmp_path: Path, processes: str) -> None:
    (tmp_path / "test_behind.py").write_text(BEHIND_ITS_BACK)
    finished = machine.pytest("-n", processes, "--rule-coverage=own.json", folder=tmp_path)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    assert "1 passed" in finished.stdout
    assert (
        "rule coverage: the trace is not whole: test_behind.py::test_rules_by_a_program[nft]: the rules changed while"
        in finished.stdout
    )
