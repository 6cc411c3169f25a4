"""The results of a run, read from JUnit XML."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import TestbedError
from testbed.report.results import FAILED, PASSED, SKIPPED, read

RUN = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" tests="5" timestamp="2026-01-02T03:04:05.678" hostname="here">
<testcase classname="cases.article.test_3_syn" name="test_a[nft]" time="0.250"/>
<testcase classname="cases.article.test_3_syn" name="test_a[legacy]" time="0.250">
<failure message="1 &lt; 2">x</failure></testcase>
<testcase classname="cases.article.test_3_syn" name="test_ab[nft]" time="0.5"/>
<testcase classname="cases.engines.test_b" name="test_a" time="1"><skipped message="not here"/></testcase>
<testcase classname="cases.engines.test_c" name="test_c" time="1"><error>no bed</error></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "junit.xml"
    path.write_text(RUN)
    return path


def test_failures_and_errors_come_first_then_what_was_skipped(file: Path) -> None:
    results = read(file)
    assert [result.outcome for result in results.all] == [FAILED, FAILED, SKIPPED, PASSED, PASSED]
    assert [result.message for result in results.failures] == ["1 < 2", "no bed"]
    assert results.when == "2026-01-02 03:04:05"


def test_they_are_counted_in_all_and_for_each_file(file: Path) -> None:
    results = read(file)
    total = results.total
    assert (total.passed, total.failed, total.skipped, total.seconds) == (2, 2, 1, 3.0)
    assert [(tally.name, tally.failed) for tally in results.by_suite] == [
        ("cases.article.test_3_syn", 1),
        ("cases.engines.test_c", 1),
        ("cases.engines.test_b", 0),
    ]


def test_the_runs_of_a_case_are_found_with_whatever_parameters(file: Path) -> None:
    tally = read(file).of_cases(["test_3_syn.py::test_a", "test_9.py::test_a"])
    assert (tally.passed, tally.failed, tally.ran) == (1, 1, 2)


@pytest.mark.parametrize(
    ("text", "why"),
    [(None, "cannot be read"), ("<testsuites>", "cannot be read"), ("<testsuites/>", "there are no results")],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, text: str | None, why: str) -> None:
    path = tmp_path / "none.xml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TestbedError, match=why) as refused:
        read(path)
    assert "--junit FILE" in refused.value.remedy
