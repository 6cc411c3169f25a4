"""invoke behaviours and invoke diff: a table beside the rules, and what a change of the rules does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from own_machine import RULES, Machine, assert_nothing_is_left, assert_refused

DOCKER_HOST = Path(__file__).parents[2] / "docs" / "docker.yaml"


@pytest.fixture
def shut(tmp_path: Path) -> str:
    """The article's rules with the LAN shut out in DOCKER-USER by the interface."""
    rules = tmp_path / "my.rules"
    rules.write_text(RULES.read_text().replace("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -i ens33 -j DROP"))
    return str(rules)


def test_a_rule_set_does_not_differ_from_itself(machine: Machine) -> None:
    finished = machine.invoke("diff", "article", "article", "--backends", "nft,legacy")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.strip().endswith("no packet behaves differently (proved)")
    assert_nothing_is_left(machine)


def test_a_change_is_said_with_its_witness_and_the_rules_where_the_ways_part(machine: Machine, shut: str) -> None:
    finished = machine.invoke("diff", "article", shut)
    assert finished.returncode == 1, finished.stderr
    lines = finished.stdout.splitlines()
    line = Path(shut).read_text().splitlines().index("-A DOCKER-USER -i ens33 -j DROP") + 1
    assert lines[0].endswith("12 regions of packets behave differently")
    at = lines.index("newly closed  10^124 packets")
    assert lines[at + 1].startswith("  tcp from ens33 to ")
    assert lines[at + 1].endswith(", port 80")
    assert lines[at + 3] == f"  + is dropped   by filter -A DOCKER-USER -i ens33 -j DROP ({shut}:{line})"
    assert lines[at + 4] == "  witness from client: SYN 192.168.66.1:40000 > 192.168.66.100:80, 60 bytes"
    assert "replies, later packets of connections" in lines[at + 6]


def test_a_table_kept_beside_the_rules_is_compared_with_them(machine: Machine, shut: str, tmp_path: Path) -> None:
    table = tmp_path / "behaviours.txt"
    assert machine.invoke("behaviours", "--out", str(table)).returncode == 0
    written = table.read_text()
    assert written.startswith("# Behaviours of the article's rule set: 102 probes.\n")
    assert machine.invoke("behaviours").stdout == written
    assert machine.invoke("diff", str(table), "article").returncode == 0
    changed = machine.invoke("diff", str(table), shut, "--json")
    assert changed.returncode == 1
    found = json.loads(changed.stdout)
    assert found["compared"] == 102
    assert {"kind", "probe", "old", "new"} == set(found["changes"][0])


def test_what_is_meant_is_allowed_once(machine: Machine, shut: str, tmp_path: Path) -> None:
    listed = machine.invoke("diff", "article", shut, "--list")
    assert listed.returncode == 1
    allowed = tmp_path / "allowed"
    allowed.write_text(listed.stdout)
    assert machine.invoke("diff", "article", shut, "--allow", str(allowed)).returncode == 0
    later = "newly closed: later packets of connections"
    allowed.write_text("\n".join(line for line in listed.stdout.splitlines() if not line.startswith(later)))
    left = machine.invoke("diff", "article", shut, "--allow", str(allowed), "--json")
    assert left.returncode == 1
    assert [change["kind"] for change in json.loads(left.stdout)["changes"]] == ["newly closed"]


def test_a_comment_for_a_pull_request(machine: Machine, shut: str, tmp_path: Path) -> None:
    comment = tmp_path / "comment.md"
    machine.invoke("diff", "article", shut, "--markdown", str(comment))
    text = comment.read_text()
    assert "| **newly closed** (10^124 packets) | `tcp from ens33 to " in text
    assert "<details><summary>the other regions</summary>" in text


def test_two_engines_of_a_described_host(machine: Machine) -> None:
    finished = machine.invoke("diff", "26.1", "28", "--host", str(DOCKER_HOST), "--json")
    assert finished.returncode == 1, finished.stdout + finished.stderr
    told = json.loads(finished.stdout)
    closed = [change for change in told["changes"] if change["kind"] == "newly closed"]
    assert any(change["probe"].startswith("tcp from ens33") and "port 9000" in change["probe"] for change in closed)
    assert {change["kind"] for change in told["changes"] if "replies: " in change["probe"]} >= {"newly open"}
    first = [change for change in closed if ": " not in change["probe"]]
    assert not [change for change in first if change["old"]["outcome"] == change["new"]["outcome"]]


@pytest.mark.parametrize(
    ("asked", "sentence", "remedy"),
    [
        (("diff", "nothing.rules", "article"), "nothing.rules is no file and no engine", "A file of rules"),
        (("diff", "article", "article", "--json", "--annotations"), "among what a person reads", "--json"),
        (("diff", "article", "article", "--sarif", "/nowhere/log"), "there is no folder /nowhere", "another file"),
        (("diff", "article", "article", "--backends", "pf"), "there is no backend pf", "nft, legacy"),
        (("behaviours", "--out", "/nowhere/table"), "there is no folder /nowhere", "another file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_compared_is_refused(
    machine: Machine, asked: tuple[str, ...], sentence: str, remedy: str
) -> None:
    assert_refused(machine.invoke(*asked), sentence, remedy)
    assert_nothing_is_left(machine)


def test_missing_list_of_allowed_changes_is_an_empty_one(machine: Machine) -> None:
    compared = machine.invoke("diff", "article", "article", "--allow", "/nowhere")
    assert (compared.returncode, compared.stderr) == (0, "There is no file /nowhere, so no change is allowed.\n")


def test_the_ways_are_told_rule_by_rule_and_for_programs(machine: Machine, shut: str) -> None:
    told = machine.invoke("diff", "article", shut, "--ways").stdout.splitlines()
    at = told.index("newly closed  10^124 packets")
    assert told[at + 5] == (
        "  the ways part at: filter -A DOCKER-USER -j RETURN | filter -A DOCKER-USER -i ens33 -j DROP"
    )
    assert "  - → delivered to web as 192.168.66.1:40000 > 172.17.0.2:80" in told
    assert "  + → dropped at host: filter -A DOCKER-USER -i ens33 -j DROP" in told
    first = json.loads(machine.invoke("diff", "article", shut, "--json").stdout)["causes"][0]
    assert first["witness"]["old"]["question"]["end"]["kind"] == "delivered"
    assert first["witness"]["new"]["question"]["end"]["kind"] == "dropped"
    assert first["witness"]["new"]["answer"] is None
    assert first["parting"]["new"]["rule"] == "-A DOCKER-USER -i ens33 -j DROP"


def test_code_scanning_and_annotations_find_the_line(machine: Machine, shut: str, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    log = tmp_path / "out.sarif"
    finished = machine.invoke("diff", "article", shut, "--sarif", str(log), "--annotations")
    line = Path(shut).read_text().splitlines().index("-A DOCKER-USER -i ens33 -j DROP") + 1
    results = json.loads(log.read_text())["runs"][0]["results"]
    assert [result["level"] for result in results] == ["warning", "note"]
    for result in results:
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "my.rules"
        assert place["region"]["startLine"] == line
        assert len(result["codeFlows"][0]["threadFlows"]) == 2
    said = [told for told in finished.stdout.splitlines() if told.startswith("::")]
    assert [told.partition(" ")[0] for told in said] == ["::warning", "::notice"]
    assert all(f"file=my.rules,line={line},title=" in told for told in said)


def test_a_comment_has_the_ways_folded_away(machine: Machine, shut: str, tmp_path: Path) -> None:
    comment = tmp_path / "comment.md"
    machine.invoke("diff", "article", shut, "--markdown", str(comment))
    text = comment.read_text()
    assert "<details><summary>newly closed: the ways of <code>tcp from ens33 to " in text
    assert (
        "\nthe ways part at:\n\n- `filter -A DOCKER-USER -j RETURN`\n- `filter -A DOCKER-USER -i ens33 -j DROP`" in text
    )
    assert "+ → dropped at host: filter -A DOCKER-USER -i ens33 -j DROP" in text
