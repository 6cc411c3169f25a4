"""Campaigns of mutants, without a kernel: names, reach, plans, the journal, scores and reports."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from testbed.behaviour.mutants import Mutant, mutants
from testbed.coverage.records import ClauseRecord, Coverage, RuleRecord, RuleSetRecord
from testbed.docker import article
from testbed.docker.engines import engine
from testbed.mutation.aliases import RuleAliases
from testbed.mutation.campaign import Campaign, CampaignConfig, CampaignResult
from testbed.mutation.journal import Journal, key
from testbed.mutation.outcome import (
    BEHAVIOUR,
    COUNTERS,
    EQUIVALENT,
    ERROR,
    KILLED,
    NO_COVERAGE,
    SEEN_IN_COUNTERS,
    SURVIVED,
    MutantResult,
    Score,
    Witness,
)
from testbed.mutation.plan import Plan, Reach, Task, first_differences, listed
from testbed.report import mutation as report
from testbed.report import mutation_files
from testbed.report.page import Page, html
from testbed.rules.counters import Counters
from testbed.rules.origin import RulesetOrigin
from testbed.rules.reading import CounterLine, CounterReading
from testbed.rules.ruleset import Ruleset

RULES = article.ruleset()
ACCEPT = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"
WITNESS = Witness("client tcp 192.168.66.100:80", "newly closed", "reaches web", "is dropped", "def test_x(): ...\n")


def without(text: str) -> Ruleset:
    return RULES.delete("filter", text)


def mutant(operator: str, rule: str | None) -> Mutant:
    found = (m for m in mutants(RULES) if m.operator == operator and (m.rule.text if m.rule else None) == rule)
    return next(found)


# names


def test_a_changed_rule_counts_under_the_name_that_it_had() -> None:
    changed = mutant("verdict", ACCEPT).apply(RULES)
    assert changed is not None
    (new,) = [rule.text for _, rule in changed.rules if rule.text not in [old.text for _, old in RULES.rules]]
    told = RuleAliases.of(RULES, changed).reading(CounterReading({CounterLine("filter", new): Counters(2, 104)}))
    assert told.rule("filter", ACCEPT) == Counters(2, 104)
    assert new not in str(told)


def test_a_rule_that_is_gone_has_counted_nothing_and_one_that_was_added_keeps_its_name() -> None:
    names = RuleAliases.of(RULES, without(ACCEPT))
    assert names.reading(CounterReading({})).rule("filter", ACCEPT) == Counters(0, 0)
    added = RULES.insert("filter", "FORWARD", "-j DROP")
    told = RuleAliases.of(RULES, added).reading(
        CounterReading({CounterLine("filter", "-A FORWARD -j DROP"): Counters(1, 52)})
    )
    assert str(told.moved) == "*filter\n[1:52] -A FORWARD -j DROP"


def test_another_policy_counts_under_the_name_that_it_had() -> None:
    changed = mutant("policy", None).apply(RULES)
    assert changed is not None
    names = RuleAliases.of(RULES, changed)
    assert [(line.text, name.text) for line, name in names.called.items()] == [(":INPUT DROP", ":INPUT ACCEPT")]


# reach


def record(*reached: tuple[int, tuple[str, ...], tuple[str, ...]], clauses: tuple[ClauseRecord, ...] = ()) -> Coverage:
    """The coverage of the article's rules, with who reached and who matched rules of FORWARD by number.

    `clauses` are those of each of these rules.
    """
    by = {number: (reaching, matching) for number, reaching, matching in reached}
    rules = [
        RuleRecord("filter", "FORWARD", n, r.text, r.text, r.line, clauses, reached_by=by[n][0], matched_by=by[n][1])
        for n, r in enumerate(RULES.table("filter").rules_of("FORWARD"), start=1)
        if n in by
    ]
    return Coverage((RuleSetRecord(RULES.source, tuple(RULES.listing), (), tuple(rules)),))


def test_a_listing_is_read_back() -> None:
    assert listed(RULES.listing, "x").listing == RULES.listing


def test_cases_that_reach_the_first_difference_are_chosen_and_those_that_match_come_first() -> None:
    rule = "-A FORWARD -o docker0 -j DOCKER"
    coverage = record((4, ("a", "b", "c"), ("c",)), (5, ("d",), ()))
    assert Reach(coverage, "").cases(mutant("delete", rule)) == ("c", "a", "b")
    assert Reach(coverage, "").cases(mutant("drop-clause", rule)) == ("a", "c", "b")
    assert Reach(coverage, "28.2.2").cases(mutant("delete", rule)) == ()


def test_a_case_that_misses_a_rule_for_the_one_clause_that_is_gone_comes_first() -> None:
    rule = "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    states = ClauseRecord("--ctstate RELATED,ESTABLISHED", alone=1, alone_by=("b",))
    reach = Reach(record((3, ("a", "b", "c"), ("c",)), clauses=(states,)), "")
    dropped = [m for m in mutants(RULES) if m.operator == "drop-clause" and m.rule is not None and m.rule.text == rule]
    found = {states.text in m.replaced[0]: reach.cases(m) for m in dropped}
    assert found == {False: ("b", "c", "a"), True: ("a", "c", "b")}


def test_the_first_difference_of_a_move_is_where_the_chain_parts() -> None:
    moved = mutant("reorder", "-A FORWARD -j DOCKER-USER")
    changed = moved.apply(RULES)
    assert changed is not None
    assert first_differences(RULES, changed, moved) == [("filter", "FORWARD", 1)]
    policy = mutant("policy", None)
    changed = policy.apply(RULES)
    assert changed is not None
    assert first_differences(RULES, changed, policy) == [("filter", "INPUT", 0)]


# plan and journal

PLAN = Plan(RULES, strong=True, engine="28", host="h", table="t", tasks=(Task("x-1", ("a.py::b",)),))


def test_a_plan_is_told_and_understood() -> None:
    assert Plan.parse(PLAN.text()) == PLAN


def test_plan_keeps_the_engine_that_wrote_the_rules() -> None:
    written = engine("28").rules(article.HOST)
    sent = Plan.parse(replace(PLAN, rules=written).text()).rules
    assert (sent.source, sent.origin) == (written.source, RulesetOrigin.of_engine("28.2.2"))


def test_a_journal_remembers_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal"
    outcome = MutantResult("x-1", SURVIVED, cases=3, seconds=1.5, witness=WITNESS)
    Journal(path).add("one", outcome)
    with path.open("a") as file:
        file.write('{"key": "two", "outc')
    again = Journal(path)
    assert again.known("one") == outcome
    assert again.known("two") is None
    again.add("two", outcome)
    assert Journal(path).known("two") == outcome


def test_what_is_remembered_depends_on_rules_and_cases(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = key(PLAN, PLAN.tasks[0], tmp_path)
    assert key(PLAN, PLAN.tasks[0], tmp_path) == first
    others = [
        key(replace(PLAN, rules=without(ACCEPT)), PLAN.tasks[0], tmp_path),
        key(PLAN, Task("x-2", ("a.py::b",)), tmp_path),
        key(PLAN, Task("x-1", ("a.py::b", "a.py::c")), tmp_path),
        key(PLAN, Task("x-1", ("other.py::b",)), tmp_path),
        key(replace(PLAN, table="u"), PLAN.tasks[0], tmp_path),
    ]
    assert len({first, *others}) == 6


# scores and reports


def campaign() -> Campaign:
    chosen = mutants(RULES)[:7]
    outcomes = [
        MutantResult(chosen[0].id, KILLED, BEHAVIOUR, "cases/a.py::test_a"),
        MutantResult(chosen[1].id, KILLED, SEEN_IN_COUNTERS, "cases/a.py::test_a"),
        MutantResult(chosen[2].id, KILLED, COUNTERS, "cases/a.py::test_b"),
        MutantResult(chosen[3].id, SURVIVED, cases=4, witness=WITNESS),
        MutantResult(chosen[4].id, NO_COVERAGE),
        MutantResult(chosen[5].id, EQUIVALENT, said="no packet gets there <x>"),
        MutantResult(chosen[6].id, ERROR, said="refused"),
    ]
    found = tuple(CampaignResult(one, RULES, outcome) for one, outcome in zip(chosen, outcomes, strict=True))
    return Campaign(CampaignConfig(RULES), found, ("cases/a.py::test_a", "cases/a.py::test_b"), 1.0, 2.0)


def test_the_score_is_of_what_can_be_noticed() -> None:
    assert campaign().score == Score(7, 1, 2, 1, 1, 1, 1)
    assert campaign().score.percent == 60.0
    assert Score.of([]).percent == 100.0


def test_a_terminal_shows_survivors_alone_with_line_witness_and_case() -> None:
    text = "\n".join(line.plain for line in report.lines(campaign()))
    survivor = campaign().found[3]
    assert f"{survivor.mutant.title}   " in text
    assert "\n".join(f"  {line}" for line in survivor.mutant.diff) in text
    assert f"line {survivor.line}, table filter" in text
    assert "newly closed: client tcp 192.168.66.100:80" in text
    assert "def test_x()" in text
    assert campaign().found[0].mutant.id not in text
    assert "survived 1, no case reaches it 1, errors 1" in text


def test_the_line_of_a_mutant_is_that_of_the_text() -> None:
    for one in campaign().found:
        line = article.RULES_FILE.read_text().splitlines()[one.line - 1]
        assert line.partition(" [")[0] == one.was


def test_a_pull_request_shows_the_same() -> None:
    text = report.markdown(campaign())
    assert "| 7 | 1 | 2 | 1 | 1 | 1 | 1 |" in text
    assert text.count("<details>") == text.count("</details>") == 2
    assert "```python\ndef test_x(): ...\n```" in text


def test_junit_has_a_failure_for_what_is_not_noticed() -> None:
    suite = ElementTree.fromstring(mutation_files.junit(campaign())).find("testsuite")
    assert suite is not None
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "7", "failures": "2", "errors": "1", "skipped": "1"}
    assert len(suite.findall("testcase")) == 7


def test_the_schema_of_mutation_testing_elements_has_its_required_fields() -> None:
    """As mutation-testing-report-schema 2.0 has them: required, and nothing that is not allowed."""
    value = json.loads(json.dumps(mutation_files.elements(campaign())))
    assert {"schemaVersion", "thresholds", "files"} <= set(value)
    assert set(value["thresholds"]) == {"high", "low"}
    (of_file,) = value["files"].values()
    assert set(of_file) == {"language", "source", "mutants"}
    statuses = [one["status"] for one in of_file["mutants"]]
    assert statuses == ["Killed", "Killed", "Killed", "Survived", "NoCoverage", "Ignored", "RuntimeError"]
    lines = of_file["source"].splitlines()
    for one in of_file["mutants"]:
        assert {"id", "mutatorName", "location", "status"} <= set(one)
        start, end = one["location"]["start"], one["location"]["end"]
        assert lines[start["line"] - 1].startswith((":", "-A"))
        assert start["column"] == 1 < end["column"]
    tests = {test["id"] for of in value["testFiles"].values() for test in of["tests"]}
    assert {killer for one in of_file["mutants"] for killer in one.get("killedBy", [])} <= tests


def test_the_page_has_a_section_and_escapes_what_is_said() -> None:
    text = html(Page(title="Mutants", stories=(), mutation=campaign()))
    assert 'id="mutation"' in text
    assert "60.0 %" in text
    assert campaign().found[3].mutant.id in text
