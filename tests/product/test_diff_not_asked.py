"""invoke diff and behaviours where not all that rules say is judged: named with its line, exit code 3."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from own_machine import RULES, Machine, assert_nothing_is_left

MORE = "-A DOCKER-USER -m string --algo bm --string GET --to 65535 -j DROP"


@pytest.fixture
def aged(tmp_path: Path) -> str:
    """The article's rules and one more, about which neither probes nor the analysis decide."""
    rules = tmp_path / "my.rules"
    rules.write_text(RULES.read_text().replace("-A DOCKER-USER -j RETURN", f"{MORE}\n-A DOCKER-USER -j RETURN"))
    return str(rules)


def test_a_rule_that_is_not_read_is_named_in_every_form(machine: Machine, aged: str, tmp_path: Path) -> None:
    line = Path(aged).read_text().splitlines().index(MORE) + 1
    said = f"{aged}:{line}: filter {MORE}: packets may be newly closed when -m string"
    files = {name: tmp_path / f"out.{name}" for name in ("markdown", "html", "sarif")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    finished = machine.invoke("diff", "article", aged, *options, "--annotations")
    assert finished.returncode == 3, finished.stdout + finished.stderr
    lines = finished.stdout.splitlines()
    assert lines[0].endswith("no packet behaves differently (proved, but for what is not judged:)")
    assert lines[1].startswith(f"  {said}")
    assert any(text.startswith("::notice ") and f"line={line}" in text for text in lines)
    assert f"- `{said}" in files["markdown"].read_text()
    assert "--string GET" in files["html"].read_text()
    assert json.loads(files["sarif"].read_text())["runs"][0]["results"][0]["ruleId"] == "not-judged"
    assert_nothing_is_left(machine)


def test_programs_and_lists_have_it_too(machine: Machine, aged: str) -> None:
    told = machine.invoke("diff", "article", aged, "--json")
    assert told.returncode == 3
    (named,) = json.loads(told.stdout)["not_judged"]
    assert named["rule"] == MORE
    assert named["why"].startswith("packets may be newly closed when -m string")
    listed = machine.invoke("diff", "article", aged, "--list")
    assert listed.returncode == 3
    assert listed.stdout.startswith(f"not judged: {aged}:")


def test_equal_rules_leave_nothing_open_and_a_table_names_them(machine: Machine, aged: str, tmp_path: Path) -> None:
    assert machine.invoke("diff", aged, aged).returncode == 0
    table = tmp_path / "table"
    made = machine.invoke("behaviours", "--rules", aged, "--out", str(table))
    assert made.returncode == 3, made.stderr
    assert f"# Not asked: {aged}:" in table.read_text()
    assert machine.invoke("diff", str(table), aged).returncode == 0
    other = machine.invoke("diff", str(table), "article")
    assert other.returncode == 3
    assert "The table was not written for these rules" in other.stdout
