"""What probes do not judge, in every form of a comparison: text, Markdown, SARIF, annotations, page."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from testbed.behaviour.changed import ListedLine
from testbed.behaviour.comparison import Comparison
from testbed.behaviour.difference import Change
from testbed.behaviour.not_asked import NotAsked
from testbed.behaviour.table import Row
from testbed.docker import article
from testbed.report import not_asked, page
from testbed.report.annotations import annotated
from testbed.report.difference import markdown
from testbed.report.located import Source
from testbed.report.page.difference import ComparedRulesets
from testbed.report.sarif import log

SCHEMA = json.loads((Path(__file__).parents[1] / "data" / "sarif" / "sarif-schema-2.1.0.json").read_text())
SPEC = "-m ttl --ttl-lt 5 -j DROP"
LINE = ListedLine("filter", "FORWARD", 3, f"-A FORWARD {SPEC}", 22, SPEC)
OLD, NEW = Source("old.rules", "old.rules"), Source("new.rules", "firewall/new.rules")
SAID = f"new.rules:22: filter -A FORWARD {SPEC}: --ttl-lt 5"
OPENED = Change("newly open", Row("p", "is dropped", ()), Row("p", "reaches web", ()))


def made(*found: Change, sentences: tuple[str, ...] = ()) -> Comparison:
    return Comparison(article.HOST, 102, found, (NotAsked(1, LINE, "--ttl-lt 5"),), sentences, (), None)


def test_no_difference_is_no_proof_where_something_was_not_asked() -> None:
    assert not_asked.heading(made(), OLD, NEW) == "old.rules => new.rules: no difference among 102 probes; not asked:"
    assert list(not_asked.paragraphs(made(), OLD, NEW)) == [f"  {SAID}"]


def test_beside_differences_it_has_a_title_of_its_own() -> None:
    assert not_asked.heading(made(OPENED), OLD, NEW) == "old.rules => new.rules: 1 of 102 behaviours differ"
    assert list(not_asked.paragraphs(made(OPENED), OLD, NEW)) == ["Not asked:", f"  {SAID}"]


def test_where_all_was_asked_nothing_is_said() -> None:
    whole = Comparison(article.HOST, 102, (), (), (), (), None)
    assert not_asked.heading(whole, OLD, NEW) == "old.rules => new.rules: 0 of 102 behaviours differ"
    assert list(not_asked.paragraphs(whole, OLD, NEW)) == []


def test_programs_get_the_line_and_the_reason() -> None:
    line, sentence = not_asked.as_dicts(made(sentences=("3 more probes were cut.",)), OLD, NEW)
    assert line == {"file": "new.rules", "line": 22, "table": "filter", "rule": LINE.text, "why": "--ttl-lt 5"}
    assert sentence["why"] == "3 more probes were cut."


def test_a_comment_has_it_as_code_whatever_it_says() -> None:
    assert f"- `{SAID}`" in markdown([], "heading", [], [SAID]).splitlines()
    assert "- `` a `b` @c ``" in markdown([], "heading", [], ["a `b` @c"]).splitlines()


def test_code_scanning_has_a_result_on_its_line() -> None:
    said = log([], OLD, NEW, made().lines)
    jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(said)
    (result,) = said["runs"][0]["results"]
    assert (result["ruleId"], result["message"]["text"]) == ("not-asked", f"Not asked: {SAID}")
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]) == ("firewall/new.rules", {"startLine": 22})
    assert said["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "not-asked"


def test_a_pull_request_gets_a_notice_on_its_line() -> None:
    (said,) = annotated([], OLD, NEW, made().lines)
    assert said == f"::notice file=firewall/new.rules,line=22,title=not asked::{SAID}"


@pytest.mark.parametrize(
    ("open_", "said"),
    [((), "Both sides do the same with every packet."), ((SAID,), "not all that the rules say was asked")],
)
def test_the_page_says_every_packet_only_where_all_was_asked(open_: tuple[str, ...], said: str) -> None:
    shown = ComparedRulesets(("old", "new"), 102, (), (), open_)
    text = page.html(page.Page("What behaves differently", (), difference=shown))
    assert said in text
    assert ("with every packet" in text) == (not open_)
    assert all(one in text for one in open_)
