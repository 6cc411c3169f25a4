"""A difference in the formats of others: SARIF, held against its schema, and GitHub's annotations."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from journeys_made import cause, opened

from testbed.behaviour.explanation import Explained
from testbed.report.annotations import MOST, annotated
from testbed.report.difference import TABLE, lines, markdown
from testbed.report.located import Source
from testbed.report.sarif import log
from testbed.rules import save

SCHEMA = json.loads((Path(__file__).parents[1] / "data" / "sarif" / "sarif-schema-2.1.0.json").read_text())
RULES = "*filter\n:FORWARD DROP\n-A FORWARD -i c -j DROP\n{}-A FORWARD -j ACCEPT\nCOMMIT\n"
NOWHERE = Source("engine 28")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A file in a repository's folder."""
    (tmp_path / ".git").mkdir()
    return written(tmp_path, RULES.format(""))


def written(folder: Path, text: str) -> Source:
    path = folder / "fire wall" / "my.rules"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return Source.of_file(path, save.read(path))


def results(*found: Explained, old: Source, new: Source) -> list[dict[str, Any]]:
    """The results of a log that is one."""
    said = log(found, old, new)
    jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(said)
    told: list[dict[str, Any]] = said["runs"][0]["results"]
    assert len(told) == len(found)
    return told


def test_a_result_stands_on_the_line_of_the_rule_where_the_ways_part(source: Source) -> None:
    (result,) = results(opened(), old=NOWHERE, new=source)
    assert (result["ruleId"], result["level"]) == ("newly-open", "error")
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "fire%20wall/my.rules"
    assert place["region"] == {"startLine": 4}
    before, now = result["codeFlows"][0]["threadFlows"]
    assert [step["location"]["message"]["text"] for step in now["locations"]] == [
        "host FORWARD: filter -A FORWARD -j ACCEPT",
        "delivered to web",
    ]
    assert before["locations"][0]["importance"] == "essential"


def test_rules_of_no_file_have_a_logical_place_alone() -> None:
    (result,) = results(opened(), old=NOWHERE, new=NOWHERE)
    (place,) = result["locations"]
    assert "physicalLocation" not in place
    assert place["logicalLocations"] == [{"name": "-A FORWARD -j ACCEPT", "fullyQualifiedName": "filter/FORWARD/2"}]


def test_tables_have_no_ways_and_say_so() -> None:
    (result,) = results(Explained(cause()), old=NOWHERE, new=NOWHERE)
    assert result["locations"] == []
    assert "codeFlows" not in result
    assert TABLE in result["message"]["text"]


def test_a_rule_beside_a_table_is_found_by_what_decided(source: Source) -> None:
    (result,) = results(replace(opened(), old=None), old=NOWHERE, new=source)
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 4}


def test_the_fingerprint_stays_when_lines_move_and_differs_between_causes(tmp_path: Path, source: Source) -> None:
    moved = written(tmp_path, RULES.format("# a comment\n"))
    other = Explained(cause("is dropped", "is rejected with port unreachable"))
    one, later, another = (
        result["partialFingerprints"]
        for found, new in ((opened(), source), (opened(3), moved), (other, source))
        for result in results(found, old=NOWHERE, new=new)
    )
    assert one == later != another


def test_nothing_that_differs_is_a_log_too() -> None:
    assert results(old=NOWHERE, new=NOWHERE) == []


def test_an_annotation_is_on_the_line_and_escaped_as_the_runner_reads_it(source: Source) -> None:
    (said,) = annotated([opened(2)], NOWHERE, source)
    head, _, text = said.removeprefix("::").partition("::")
    assert head == "error file=fire wall/my.rules,line=4,title=newly open%3A client tcp 192.0.2.2%3A80"
    assert "client tcp 192.0.2.2:80. Before: is dropped" in text
    broken = cause(new="reaches 100% of\nweb")
    (said,) = annotated([Explained(broken)], NOWHERE, NOWHERE)
    assert "reaches 100%25 of%0Aweb" in said
    assert said.startswith("::error title=")


def test_more_annotations_than_are_shown_are_counted() -> None:
    said = list(annotated([opened()] * (MOST + 2), NOWHERE, NOWHERE))
    assert sum(line.startswith("::error ") for line in said) == MOST
    assert said[-1] == f"2 more of level error are not annotated: GitHub shows {MOST} of each."


def test_the_ways_part_in_a_line_and_whole_ways_are_told_when_asked_for() -> None:
    told = [line.plain for line in lines([opened()])]
    assert told[4] == "  the ways part at: filter :FORWARD DROP | filter -A FORWARD -j ACCEPT"
    whole = [line.plain for line in lines([opened()], whole=True)]
    assert "          ✗ 1 -i c -j DROP   -i c: no" in whole  # on both sides
    assert "  -       policy DROP" in whole
    assert "  +       ✓ 2 -j ACCEPT" in whole


def test_a_comment_is_never_longer_than_github_takes() -> None:
    long = markdown([opened(probes=3)] * 100, "heading", ["a remark"])
    assert len(long) < 65_536
    assert long.count("| **newly open** (3 probes) |") == 100
    assert "more ways are left out: the comment would be too long." in long
    assert long.endswith("a remark\n")


def test_a_witness_that_fares_otherwise_by_itself_is_said_to() -> None:
    one = opened()
    turned = replace(one, old=one.new)
    assert turned.otherwise
    assert any("fared otherwise" in line.plain for line in lines([turned]))
    assert not one.otherwise
