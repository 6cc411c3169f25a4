"""Whatever rule of the article's set is changed, `invoke test` is red, names the rule and shows the counters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from own_machine import RULES, Machine

EDITS = [
    ("-A FORWARD -o docker0 -j DOCKER\n", ""),
    ("-A DOCKER-USER -j RETURN\n", "-A DOCKER-USER -j DROP\n"),
    ("-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n", ""),
    ("-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-o docker0 -j ACCEPT"),
    ("-A FORWARD -i docker0 ! -o docker0 -j ACCEPT", "-A FORWARD -i docker0 ! -o docker0 -j DROP"),
    ("-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP", "-A DOCKER-ISOLATION-STAGE-2 -o ens33 -j DROP"),
    ("--to-destination 172.17.0.2:80", "--to-destination 172.17.0.2:81"),
    ("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER", "-A PREROUTING -j DOCKER"),
    ("-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n", ""),
    ("-A DOCKER -i docker0 -j RETURN\n", ""),
    (":FORWARD DROP", ":FORWARD ACCEPT"),
    (
        "-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-ISOLATION-STAGE-1\n",
        "-A FORWARD -j DOCKER-ISOLATION-STAGE-1\n-A FORWARD -j DOCKER-USER\n",
    ),
]
# Where there is one bridge, no packet can tell.
UNSEEN = (
    "-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP\n-A DOCKER-ISOLATION-STAGE-2 -j RETURN\n",
    "-A DOCKER-ISOLATION-STAGE-2 -j RETURN\n-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP\n",
)


def run_with(machine: Machine, rules: Path, old: str, new: str) -> tuple[str, list[str]]:
    """What `invoke test` printed about an edited rule set, and the lines of which it said that they differ."""
    text = RULES.read_text()
    assert text.count(old) == 1
    rules.write_text(text.replace(old, new))
    chosen = ("--path", "cases/article", "-k", "test_2_host or test_3_syn", "--backend", "nft", "--jobs", "0")
    finished = machine.invoke("test", *chosen, "--rules", str(rules))
    assert finished.returncode == 1, finished.stdout
    report, _, summary = finished.stdout.partition("how the rules under test differ from the article's")
    changed = [line[2:].split(" ", 1)[1] for line in re.findall("^[-+] .*", summary, re.MULTILINE)]
    before, after = (set(re.sub(r" \[0:0\]", "", rules).splitlines()) for rules in (text, rules.read_text()))
    assert changed
    assert set(changed) <= ((before ^ after) or set(old.splitlines()))
    return report, changed


@pytest.mark.parametrize(("old", "new"), EDITS, ids=[f"{old.strip()} → {new.strip()}" for old, new in EDITS])
def test_an_edited_rule_is_named_and_its_differing_counters_are_shown(
    machine: Machine, tmp_path: Path, old: str, new: str
) -> None:
    report, changed = run_with(machine, tmp_path / "my.rules", old, new)
    marked = [line for line in report.splitlines() if line.startswith(("≠", "E         ≠"))]
    assert any(line in shown for shown in marked for line in changed), (changed, marked)


def test_an_edit_that_no_packet_can_notice_is_named_by_the_listing(machine: Machine, tmp_path: Path) -> None:
    report, _ = run_with(machine, tmp_path / "my.rules", *UNSEEN)
    assert "test_the_kernel_holds_the_eighteen_rules" in report
