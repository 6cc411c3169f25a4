"""invoke mutate on rules that remember packets: as on beds that are built anew, and without proofs."""

from __future__ import annotations

import json
from pathlib import Path

from own_machine import REPOSITORY, own_machine

RULES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -p tcp -m tcp --dport 1234 -m recent --set --name KNOCK --mask 255.255.255.255 --rsource -j DROP
-A FORWARD -p tcp -m tcp --dport 80 -m recent --rcheck --name KNOCK --mask 255.255.255.255 --rsource -j ACCEPT
COMMIT
"""
CASES = """\
def syn(bed, port):
    return bed.connect("client", ("172.17.0.2", port), via="192.168.66.100").syn.delivered_to == "web"


def test_who_has_knocked_is_let_in(bed):
    assert not syn(bed, 1234)
    assert syn(bed, 80)


def test_who_has_not_knocked_is_not_let_in(bed):
    assert not syn(bed, 80)
"""


def test_mutants_of_rules_that_remember_fare_as_on_fresh_beds(tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    (tmp_path / "tasks.py").write_text((REPOSITORY / "tasks.py").read_text())
    (tmp_path / "my.rules").write_text(RULES)
    (tmp_path / "cases" / "test_own.py").write_text(CASES)
    standing, fresh = statuses(tmp_path), statuses(tmp_path, "--fresh")
    assert standing == fresh
    assert len(standing) > 15
    assert {status for status, _ in standing.values()} == {"Killed", "Survived", "NoCoverage", "Ignored"}
    ignored = [reason for status, reason in standing.values() if status == "Ignored"]
    assert all(reason.startswith("it makes the same rules as") for reason in ignored)


def statuses(folder: Path, *more: str) -> dict[str, tuple[str, str]]:
    """The status of each mutant of the campaign with the reason, where it was not run."""
    arguments = ("mutate", "--rules", "my.rules", "--json", "found.json", "--fail-under", "0", "--jobs", "2", *more)
    with own_machine() as machine:
        finished = machine.invoke(*arguments, "--journal", "".join(("journal", *more)), folder=folder)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (of_file,) = json.loads((folder / "found.json").read_text())["files"].values()
    told = ((mutant["id"], mutant["status"], mutant.get("statusReason", "")) for mutant in of_file["mutants"])
    return {name: (status, reason if status == "Ignored" else "") for name, status, reason in told}
