"""invoke mutate: which mistakes no case notices; what ends a campaign half-way costs nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import execnet
import pytest
from own_machine import Machine, assert_nothing_is_left, assert_refused, own_machine

TASKS = 'from testbed.tasks import namespace\n\n__all__ = ["namespace"]\n'
RULES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -i docker0 -o ens33 -j ACCEPT
-A FORWARD -d 172.17.0.2/32 -i ens33 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
"""
CASES = """\
from testbed.traffic.layers import ICMP, IP, UDP

WEB, CLIENT, HOST = "172.17.0.2", "192.168.66.1", "192.168.66.100"


def test_the_lan_reaches_the_web_server(bed):
    assert bed.connect("client", (WEB, 80), via=HOST).syn.delivered_to == "web"


def test_the_lan_reaches_no_other_port(bed):
    assert not bed.connect("client", (WEB, 81), via=HOST).syn.delivered
    asked = IP(src=CLIENT, dst=WEB) / UDP(sport=4000, dport=80)
    assert not bed.send(asked, "client", via=HOST).delivered


def test_the_container_reaches_the_lan(bed):
    assert bed.connect("web", (CLIENT, 443)).syn.delivered_to == "client"
    assert bed.send(IP(src=WEB, dst=CLIENT) / ICMP(type=8, id=1), "web").delivered_to == "client"
"""
REFUSING = "def test_the_lan_reaches_no_other_port"


@pytest.fixture(scope="module")
def campaign_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of somebody's own, rules and the cases that protect them, in which a campaign has run: `whole`."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "cases").mkdir()
    (folder / "tasks.py").write_text(TASKS)
    (folder / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = ["-p", "no:cacheprovider"]\n')
    (folder / "my.rules").write_text(RULES)
    (folder / "cases" / "test_own.py").write_text(CASES)
    with own_machine() as machine:
        finished = machine.invoke(*mutating("--jobs", "2", journal="whole"), folder=folder)
        assert finished.returncode == 0, finished.stderr
        assert_nothing_is_left(machine)
    return folder


@pytest.fixture
def own(campaign_of_all: Path, tmp_path: Path) -> Path:
    """That repository, for a test alone."""
    return shutil.copytree(campaign_of_all, tmp_path / "own", ignore=shutil.ignore_patterns("found.json"))


def mutating(*more: str, journal: str = "journal") -> tuple[str, ...]:
    return ("mutate", "--rules", "my.rules", "--journal", journal, "--json", "found.json", "--fail-under", "0", *more)


def found(folder: Path) -> dict[str, tuple[str, ...]]:
    """What became of each mutant, without what differs from run to run: times."""
    (of_file,) = json.loads((folder / "found.json").read_text())["files"].values()
    return {
        one["id"]: (one["status"], one.get("statusReason", ""), *one.get("killedBy", [])) for one in of_file["mutants"]
    }


def entries(journal: Path) -> int:
    return len(journal.read_text().splitlines()) if journal.exists() else 0


def wait_for_entries(journal: Path, number: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many mutants are in the journal, while the campaign runs."""
    while entries(journal) < number:
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"it ended before: {process.communicate()[0]}")


def test_a_campaign_that_is_killed_half_way_goes_on_and_finds_the_same(
    machine: Machine, own: Path, campaign_of_all: Path
) -> None:
    whole = found(campaign_of_all)
    killed = machine.start(sys.executable, "-m", "invoke", *mutating("--jobs", "2"), folder=own)
    wait_for_entries(own / "journal", 5, killed)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    before = entries(own / "journal")
    assert 5 <= before < entries(own / "whole")
    resumed = machine.invoke(*mutating("--jobs", "2"), folder=own)
    assert resumed.returncode == 0, resumed.stderr
    assert (known := re.search(r"(\d+) mutants known from before", resumed.stdout))
    assert 5 <= int(known[1]) <= before
    assert found(own) == whole
    assert {status for status, *_ in whole.values()} >= {"Killed", "Survived"}
    assert_nothing_is_left(machine)


def test_a_case_that_is_missing_is_missed_and_the_one_that_is_proposed_takes_its_place(
    machine: Machine, own: Path, campaign_of_all: Path
) -> None:
    cases = own / "cases" / "test_own.py"
    whole = found(campaign_of_all)
    begins, ends = CASES.index(REFUSING), CASES.index("def test_the_container")
    cases.write_text(CASES[:begins] + CASES[ends:])
    less = machine.invoke(*mutating("--jobs", "2", "--markdown", "comment.md"), folder=own)
    lost = [name for name, (status, *_) in found(own).items() if status != "Killed" and whole[name][0] == "Killed"]
    protected = [name for name, (_, *rest) in whole.items() if any("no_other_port" in word for word in rest)]
    assert lost
    assert set(lost) == set(protected)
    assert "--dport 80" in less.stdout
    proposed = re.findall(r"```python\n(.*?)```", (own / "comment.md").read_text(), re.DOTALL)
    wanted = [source for source in proposed if any(name.replace("-", "_") in source for name in lost)]
    assert len(wanted) == len(lost)
    for number, source in enumerate(wanted):
        (own / "cases" / f"test_proposed_{number}.py").write_text(source)
    assert machine.invoke(*mutating("--jobs", "2"), folder=own).returncode == 0
    assert {found(own)[name][0] for name in lost} == {"Killed"}


def test_cases_that_fail_by_themselves_are_said_to_and_no_mutant_runs(machine: Machine, own: Path) -> None:
    (own / "cases" / "test_red.py").write_text("def test_red(bed):\n    assert False\n")
    finished = machine.invoke(*mutating("--jobs", "2"), folder=own)
    assert finished.returncode == 2
    assert "1 cases fail on the rules as they are, so no mutant was run: " in finished.stderr
    assert entries(own / "journal") == 0
    assert not (own / "found.json").exists()
    assert_nothing_is_left(machine)


def test_only_rules_that_have_changed_are_mutated(machine: Machine, own: Path) -> None:
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main")
    for command in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "x")):
        assert machine.run(*git, *command, folder=own).returncode == 0
    nothing = machine.invoke(*mutating("--changed-since", "HEAD"), folder=own)
    assert_refused(nothing, "there is nothing to mutate.", "With --changed-since, has one changed?")
    (own / "my.rules").write_text(RULES.replace("-i docker0 -o ens33", "-i docker0 ! -o docker0"))
    changed = machine.invoke(*mutating("--changed-since", "HEAD", "--jobs", "2"), folder=own)
    assert changed.returncode == 0, changed.stderr
    (of_file,) = json.loads((own / "found.json").read_text())["files"].values()
    assert {one["location"]["start"]["line"] for one in of_file["mutants"]} == {5}


def test_a_behaviour_table_stands_for_the_cases(machine: Machine, own: Path) -> None:
    assert machine.invoke("behaviours", "--rules", "my.rules", "--out", "my.behaviours", folder=own).returncode == 0
    finished = machine.invoke(*mutating("--behaviours", "my.behaviours", "--jobs", "2"), folder=own)
    assert finished.returncode == 0, finished.stderr
    statuses = [status for status, *_ in found(own).values()]
    assert statuses.count("Killed") > len(statuses) / 2
    (own / "my.rules").write_text(RULES.replace("--dport 80", "--dport 81"))
    red = machine.invoke(*mutating("--behaviours", "my.behaviours"), folder=own)
    assert red.returncode == 2
    assert "do not behave as the table says" in red.stderr


Elsewhere = Callable[[int], subprocess.Popen[str]]


@pytest.fixture
def elsewhere(machine: Machine, tmp_path: Path) -> Iterator[Elsewhere]:
    """Starts processes that take work by execnet's protocol at a port of the machine's loopback."""
    assert machine.run("ip", "link", "set", "lo", "up").returncode == 0
    server = Path(execnet.__file__).parent / "script" / "socketserver.py"
    started: list[subprocess.Popen[str]] = []

    def start(port: int) -> subprocess.Popen[str]:
        folder = tmp_path / f"machine-{port}"
        folder.mkdir()
        started.append(machine.start(sys.executable, "-u", str(server), f"127.0.0.1:{port}", folder=folder))
        assert started[-1].stdout is not None
        assert "Accept loop" in started[-1].stdout.readline()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_mutants_are_spread_over_machines_and_one_that_is_lost_loses_nothing(
    machine: Machine, own: Path, campaign_of_all: Path, elsewhere: Elsewhere
) -> None:
    whole = found(campaign_of_all)
    servers = [elsewhere(port) for port in (8801, 8802)]
    workers = [word for port in (8801, 8802) for word in ("--tx", f"socket=127.0.0.1:{port}")]
    campaign = machine.start(sys.executable, "-m", "invoke", *mutating(*workers), folder=own)
    wait_for_entries(own / "journal", 5, campaign)
    servers[0].kill()
    said, _ = campaign.communicate()
    assert campaign.returncode == 0, said
    assert found(own) == whole
    copied = [list(own.parent.glob(f"machine-{port}/pyexecnetcache/*")) for port in (8801, 8802)]
    assert all(copied)  # both had work
