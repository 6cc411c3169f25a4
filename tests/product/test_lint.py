"""invoke lint: rules that do nothing, or that undo another rule."""

from __future__ import annotations

import json
from pathlib import Path

from own_machine import RULES, Machine, assert_nothing_is_left


def test_shadowed_rule_is_a_finding_with_its_line(machine: Machine, tmp_path: Path) -> None:
    rules, log = tmp_path / "my.rules", tmp_path / "out.sarif"
    more = "-A DOCKER-USER -i ens33 -j DROP\n-A DOCKER-USER -i ens33 -p tcp -j ACCEPT\n-A DOCKER-USER -j RETURN"
    rules.write_text(RULES.read_text().replace("-A DOCKER-USER -j RETURN", more))
    line = rules.read_text().splitlines().index("-A DOCKER-USER -i ens33 -p tcp -j ACCEPT") + 1
    finished = machine.invoke("lint", "--rules", str(rules), "--sarif", str(log))
    assert finished.returncode == 1, finished.stdout + finished.stderr
    lines = finished.stdout.splitlines()
    at = lines.index(f"shadowed  filter -A DOCKER-USER -i ens33 -p tcp -j ACCEPT ({rules}:{line})")
    assert lines[at + 1] == "  earlier rules take every packet that it matches"
    assert lines[at + 2].startswith("    filter -A DOCKER-USER -i ens33 -j DROP")
    results = json.loads(log.read_text())["runs"][0]["results"]
    (shadowed,) = [result for result in results if result["ruleId"] == "shadowed"]
    assert shadowed["locations"][0]["physicalLocation"]["region"] == {"startLine": line}
    assert_nothing_is_left(machine)


def test_rules_without_a_finding_are_clean_and_programs_get_them(machine: Machine, tmp_path: Path) -> None:
    rules = tmp_path / "my.rules"
    rules.write_text(
        "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"
    )
    finished = machine.invoke("lint", "--rules", str(rules), "--json")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert json.loads(finished.stdout) == {"findings": [], "not_judged": []}
