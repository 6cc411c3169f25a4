"""invoke bench: every figure is there, whatever it is, it measures equal work, and nothing is left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from own_machine import Machine, assert_refused, mounts_of

from testbed import Testbed
from testbed.bench import mininet_plan
from testbed.docker import DockerHost, article
from testbed.kernel.namespace import quarantine
from testbed.kernel.xtables import BACKENDS
from testbed.report import shell_script

INVOKE = (sys.executable, "-m", "invoke")
OWN_FIGURES = {
    f"{what} {backend}"
    for backend in BACKENDS
    for what in ("build", "tear down", "counters", "handshake", "replay", "journey", "probe")
} | {"swap a mutant", *(f"swap a mutant of {rules} rules" for rules in (100, 300, 1000))}
AGAINST_MININET = {"build against Mininet", "tear down against Mininet"}
ONE_ROUND = ("bench", "--rounds", "1", "--containers", "1,3", "--no-cases")


def standing(machine: Machine) -> tuple[list[str], list[str], list[int]]:
    """Names of namespaces, namespaces that a mount holds, processes."""
    return machine.names, machine.held, machine.processes


def test_every_figure_is_there_and_nothing_is_left(machine: Machine) -> None:
    before = standing(machine)
    finished = machine.invoke(*ONE_ROUND, "--json")
    assert finished.returncode == 0, finished.stderr
    answer = json.loads(finished.stdout)
    figures = {figure["name"]: figure for figure in answer["figures"]}
    assert set(figures) == OWN_FIGURES | (AGAINST_MININET if mininet_plan.installed_for() else set())
    for figure in figures.values():
        assert_sound(figure)
    assert answer["rounds"] == 1
    assert [(grown["containers"], grown["rules"]) for grown in answer["growth"]] == [(1, 18), (3, 24)]
    assert all(grown[f"{what}_ms"] > 0 for grown in answer["growth"] for what in ("build", "probe", "read", "remove"))
    assert answer["cores"] > 0
    assert answer["cases"] is None
    assert answer["mutants"] is None
    assert "Cases were not run" in answer["left_out"][-1]
    assert standing(machine) == before


def assert_sound(figure: dict[str, Any]) -> None:
    for times in filter(None, (figure["ours"], figure["other"])):
        assert 0 < times["lowest_ms"] <= times["median_ms"] <= times["highest_ms"], figure
    if figure["other"] is not None:
        assert 0 < figure["ratio_lowest"] <= figure["ratio"] <= figure["ratio_highest"], figure
    assert (figure["met"] is None) == (figure["goal"] == ""), figure


def test_outside_the_repository_it_says_that_there_are_no_cases(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from testbed.tasks import namespace\n")
    finished = machine.invoke("bench", "--rounds", "1", "--containers", "", folder=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "There is no folder cases/article here" in finished.stdout


@pytest.mark.parametrize("moment", range(4))
def test_interrupted_it_leaves_nothing(machine: Machine, moment: int) -> None:
    """Ctrl-C while the script or Mininet builds apart, `moment` programs after the first."""
    before = standing(machine)
    bench = machine.start(*INVOKE, *ONE_ROUND)
    apart = wait_for_children(bench.pid, 1 + moment, mounts_of(machine.holder.pid))
    bench.send_signal(signal.SIGINT)
    assert bench.communicate(timeout=60)
    assert bench.returncode == 130
    wait_until_gone(apart)
    assert standing(machine) == before


def wait_until_gone(pids: set[int]) -> None:
    """One that was just being started ends by itself, when it finds nobody to speak to."""
    tick = threading.Event()
    for _ in range(200):
        if not [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
            return
        tick.wait(0.05)
    raise AssertionError(f"still there after 10 s: {pids}")


def wait_for_children(pid: int, number: int, own: int) -> set[int]:
    """The first programs that a process starts with other mounts than `own`."""
    seen: set[int] = set()
    while len(seen) < number:
        for task in Path(f"/proc/{pid}/task").iterdir():
            seen |= {child for child in children(task) if mounts_of(child) not in (0, own)}
    return seen


def children(task: Path) -> list[int]:
    try:
        return [int(child) for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


@pytest.mark.parametrize(
    ("rounds", "sentence"),
    [
        ("0", "--rounds 0 is out of range"),
        ("-3", "--rounds -3 is out of range"),
        ("many", "--rounds 'many' is not a whole number"),
    ],
)
def test_no_rounds_are_refused(machine: Machine, rounds: str, sentence: str) -> None:
    assert_refused(machine.invoke("bench", f"--rounds={rounds}"), sentence, "Give a whole number from 1 to 1000")


@pytest.mark.parametrize("host", [article.HOST, article.HOST_WITHOUT_PROXY, article.HOST_WITH_TWO_NETWORKS])
def test_the_script_makes_what_the_bed_is(host: DockerHost) -> None:
    """Indexes, MACs, masters, addresses, routes, neighbours, sysctls and rules of every node."""
    topology, rules = article.topology(host), article.rules_of(host)
    shown = [f"ip netns exec {node.name} sh -c '{SHOW}'" for node in topology.nodes]
    built = "\n".join(["mount -t tmpfs tmpfs /run", shell_script.build(topology, rules, BACKENDS["nft"]), *shown])
    by_script = subprocess.run(["unshare", "--net", "--mount", "sh", "-e", "-c", built], capture_output=True, text=True)
    assert by_script.returncode == 0, by_script.stderr
    with quarantine(), Testbed(topology, rules) as bed:
        by_bed = "".join(bed.node(node.name).command(["sh", "-c", SHOW]).stdout for node in topology.nodes)
    assert "ipv4/ip_forward:1" in by_bed
    assert comparable(by_script.stdout) == comparable(by_bed)


SHOW = "; ".join(
    (
        "ip -json -details address",
        "ip -json route show table all",
        "ip -json neighbour show nud permanent",
        "iptables-nft-save",
        "cd /proc/sys/net; grep -r . ipv4/conf ipv4/ip_forward bridge netfilter/nf_conntrack_tcp_loose | sort",
    )
)
SAME = ("ifindex", "ifname", "address", "altnames", "master", "local", "prefixlen", "broadcast")
SAME += ("type", "dst", "gateway", "dev", "protocol", "scope", "lladdr", "hairpin", "mcast_snooping")


def comparable(shown: str) -> list[str]:
    """What was shown, without what is a matter of the moment: states, timers, ids of namespaces, dates."""
    lines = []
    for line in shown.splitlines():
        if line.startswith("["):
            lines += sorted(json.dumps(chosen(entry)) for entry in json.loads(line))
        elif not line.startswith("#"):
            lines.append(line)
    return lines


def chosen(entry: dict[str, Any]) -> dict[str, Any]:
    nested = {key: chosen(entry[key]) for key in ("linkinfo", "info_data", "info_slave_data") if key in entry}
    addresses = [chosen(address) for address in entry.get("addr_info", []) if address["family"] == "inet"]
    return {key: entry[key] for key in SAME if key in entry} | nested | {"addresses": addresses}
