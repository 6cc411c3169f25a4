"""What is told of rule coverage: totals, what is missing, what cannot be; lcov's and Cobertura's files, the page."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from testbed.coverage import covered
from testbed.coverage.covered import Report, Share
from testbed.coverage.records import ChainRecord, ClauseRecord, Coverage, RuleRecord, RuleSetRecord
from testbed.errors import Disagreement
from testbed.report import coverage as told
from testbed.report import coverage_files
from testbed.report.page import Page, html

ALL, PORT, LAST = "-A FORWARD -j A", "-A A -i x -p tcp -m tcp --dport 80 -j ACCEPT", "-A A -i y -j DROP"
LISTING = ("filter :FORWARD DROP", "filter :A -", "filter :B -", *(f"filter {rule}" for rule in (ALL, PORT, LAST)))
NOWHERE = "-A B -j DROP"
# What the document type of Cobertura's reports (coverage-04.dtd) asks of each element
COBERTURA = {
    "coverage": "line-rate branch-rate lines-covered lines-valid branches-covered branches-valid complexity version "
    "timestamp",
    "package": "name line-rate branch-rate complexity",
    "class": "name filename line-rate branch-rate complexity",
    "method": "name signature line-rate branch-rate complexity",
    "line": "number hits",
    "condition": "number type coverage",
}


def rule(text: str, number: int, line: int, *clauses: str) -> RuleRecord:
    return RuleRecord("filter", text.split()[1], number, text, text, line, tuple(map(ClauseRecord, clauses)))


EMPTY = RuleSetRecord(
    "my.rules",
    LISTING,
    (ChainRecord("filter", "FORWARD", "DROP", 2), ChainRecord("filter", "A", "", 3), ChainRecord("filter", "B", "", 4)),
    (
        rule(ALL, 1, 5),
        RuleRecord("filter", "FORWARD", 0, ":FORWARD DROP", ":FORWARD DROP", 2),
        rule(PORT, 1, 6, "-i x", "-p tcp", "--dport 80"),
        rule(LAST, 2, 7, "-i y"),
        rule(NOWHERE, 1, 8),
    ),
)


def recorded(source: str = "my.rules", port_alone: int = 1) -> RuleSetRecord:
    """One packet that matched the first two rules, one that missed the second for its port and then was dropped."""
    both, first = ("a::one", "a::two"), ("a::one",)
    counted = (
        replace(EMPTY.rules[0], reached=2, matched=2, reached_by=both, matched_by=both),
        EMPTY.rules[1],
        replace(
            EMPTY.rules[2],
            clauses=(ClauseRecord("-i x"), ClauseRecord("-p tcp"), ClauseRecord("--dport 80", port_alone)),
            reached=2,
            matched=1,
            reached_by=both,
            matched_by=first,
        ),
        replace(EMPTY.rules[3], reached=1, matched=1, reached_by=("a::two",), matched_by=("a::two",)),
        EMPTY.rules[4],
    )
    chains = tuple(replace(chain, entered=0 if chain.name == "B" else 2) for chain in EMPTY.chains)
    return replace(EMPTY, source=source, rules=counted, chains=chains)


@pytest.fixture
def report() -> Report:
    found = covered.report(EMPTY, Coverage((recorded(),)))
    assert found is not None
    return found


def test_totals_leave_out_what_cannot_be(report: Report) -> None:
    assert report.reached == Share(3, 4)  # without the rule of B, where nothing leads; the policy never decided
    assert report.branches == Share(4, 5)  # ALL cannot be missed, LAST was not
    assert report.clauses == Share(1, 4)
    assert told.totals(report) == (
        "my.rules: rules 75 % (3 of 4), branches 80 % (4 of 5), clauses 25 % (1 of 4), by 2 cases."
    )


def test_what_is_missing_is_named(report: Report) -> None:
    assert [(rule.record.text, what) for rule, what in report.missing] == [
        (":FORWARD DROP", "never decided"),
        (PORT, "never missed for `-i x` alone"),
        (PORT, "never missed for `-p tcp` alone"),
        (LAST, "never missed"),
        (LAST, "never missed for `-i y` alone"),
    ]


def test_what_cannot_be_is_named_with_the_reason(report: Report) -> None:
    assert {rule.record.text: rule.excluded for rule in report.rules if rule.excluded} == {
        ALL: (("cannot be missed", "it asks nothing of a packet"),),
        NOWHERE: (("cannot be reached", "no rule leads to B"),),
    }


def test_rule_sets_with_other_rules_count_only_if_the_same_engine_wrote_them() -> None:
    others = replace(recorded("my.rules"), listing=("filter :FORWARD DROP",))
    assert covered.report(EMPTY, Coverage((others,))) is None
    assert covered.report(EMPTY, Coverage((replace(others, engine="28.2.2"),))) is None
    assert covered.report(replace(EMPTY, engine="28.2"), Coverage((replace(others, engine="28.2.2"),))) is None
    both = Coverage((replace(others, engine="28.2.2"), recorded()))
    found = covered.report(replace(EMPTY, engine="28.2.2"), both)
    assert found is not None
    assert found.rules[0].record.reached == 4


def test_a_packet_that_does_what_was_proved_impossible_is_a_disagreement() -> None:
    wrong = recorded()
    rules = (*wrong.rules[:4], replace(wrong.rules[4], reached=1, matched=1))
    with pytest.raises(Disagreement, match="packets did what cannot be, since no rule leads to B"):
        covered.report(EMPTY, Coverage((replace(wrong, rules=rules),)))


def test_lcov_has_rules_as_lines_chains_as_functions_and_two_branches_a_rule(report: Report, tmp_path: Path) -> None:
    assert coverage_files.lcov(report, tmp_path / "my.rules").splitlines() == [
        "TN:rules",
        f"SF:{tmp_path}/my.rules",
        *("FN:2,filter/FORWARD", "FN:3,filter/A", "FN:4,filter/B"),
        *("FNDA:2,filter/FORWARD", "FNDA:2,filter/A", "FNDA:0,filter/B"),
        *("FNF:3", "FNH:2"),
        *("BRDA:5,0,0,2", "BRDA:6,0,0,1", "BRDA:6,0,1,1", "BRDA:7,0,0,1", "BRDA:7,0,1,0", "BRF:5", "BRH:4"),
        *("DA:2,0", "DA:5,2", "DA:6,2", "DA:7,1", "LF:4", "LH:3"),
        "end_of_record",
    ]


def test_cobertura_has_what_its_document_type_asks_for(report: Report, tmp_path: Path) -> None:
    root = ElementTree.fromstring(coverage_files.cobertura(report, tmp_path / "rules" / "my.rules", tmp_path))
    assert {element.tag for element in root.iter()} >= set(COBERTURA)
    for element in root.iter():
        assert set(COBERTURA.get(element.tag, "").split()) <= set(element.attrib)
    assert (root.get("line-rate"), root.get("branch-rate")) == ("0.75", "0.8")
    (file,) = root.iter("class")
    assert file.get("filename") == "rules/my.rules"
    lines = {line.get("number"): line for line in file.findall("lines/line")}
    assert {number: line.get("hits") for number, line in lines.items()} == {"2": "0", "5": "2", "6": "2", "7": "1"}
    assert lines["7"].get("condition-coverage") == "50% (1/2)"
    assert [method.get("name") for method in file.iter("method")] == ["filter/FORWARD", "filter/A", "filter/B"]


def test_rules_without_a_file_are_listed_and_their_lines_are_the_listings() -> None:
    renumbered, text = coverage_files.listed(EMPTY)
    lines = text.splitlines()
    assert [lines[one.line - 1] for one in renumbered.rules] == [one.text for one in EMPTY.rules]
    assert [lines[chain.line - 1] for chain in renumbered.chains] == [":FORWARD DROP", ":A -", ":B -"]


class _Shown(HTMLParser):
    """The classes of the rules on a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.states: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "details":
            self.states.append(dict(attrs)["class"] or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shades_each_rule_and_names_its_cases(report: Report) -> None:
    shown = _Shown(html(Page("Rule coverage", (), coverage=report)))
    assert shown.states == ["covered whole", "covered open", "covered partly", "covered partly", "covered never"]
    assert "It cannot be reached: no rule leads to B." in shown.text
    assert "a::two" in shown.text
