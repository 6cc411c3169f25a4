"""invoke diff and behaviours where not all that rules say is asked: named with its line, exit code 3."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from own_machine import RULES, Machine, assert_nothing_is_left

MORE = "-A DOCKER-USER -m ttl --ttl-lt 5 -j DROP"


@pytest.fixture
def aged(tmp_path: Path) -> str:
    """The article's rules and one more, of which probes do not ask both sides."""
    rules = tmp_path / "my.rules"
    rules.write_text(RULES.read_text().replace("-A DOCKER-USER -j RETURN", f"{MORE}\n-A DOCKER-USER -j RETURN"))
    return str(rules)


def test_a_rule_that_no_probe_decides_about_is_named_in_every_form(machine: Machine, aged: str, tmp_path: Path) -> None:
    line = Path(aged).read_text().splitlines().index(MORE) + 1
    said = f"{aged}:{line}: filter {MORE}: --ttl-lt 5"
    files = {name: tmp_path / f"out.{name}" for name in ("markdown", "html", "sarif")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    finished = machine.invoke("diff", "article", aged, *options, "--annotations")
    assert finished.returncode == 3, finished.stdout + finished.stderr
    lines = finished.stdout.splitlines()
    assert lines[0].endswith("no difference among 102 probes; not asked:")
    assert lines[1] == f"  {said}"
    assert any(text.startswith("::notice ") and f"line={line}" in text for text in lines)
    assert f"- `{said}`" in files["markdown"].read_text()
    assert "--ttl-lt 5" in files["html"].read_text()
    assert json.loads(files["sarif"].read_text())["runs"][0]["results"][0]["ruleId"] == "not-asked"
    assert_nothing_is_left(machine)


def test_programs_and_lists_have_it_too(machine: Machine, aged: str) -> None:
    told = machine.invoke("diff", "article", aged, "--json")
    assert told.returncode == 3
    (named,) = json.loads(told.stdout)["not_asked"]
    assert (named["rule"], named["why"]) == (MORE, "--ttl-lt 5")
    listed = machine.invoke("diff", "article", aged, "--list")
    assert listed.returncode == 3
    assert listed.stdout.startswith(f"not asked: {aged}:")


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
