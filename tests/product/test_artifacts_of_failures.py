"""What pytest keeps of a failed test: --testbed-artifacts, --testbed-shell."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from own_machine import Machine, assert_nothing_is_left
from scapy.utils import PcapNgReader

TESTS = """
from testbed import Testbed
from testbed.docker import article


def test_port_is_open(bed):
    assert bed.connect("client", "host:80").syn.delivered


def test_other_port_is_open(bed):
    bed.connect("client", "host:80")
    direct = bed.connect("client", "web:81", via="192.168.66.100").syn
    assert direct.delivered, "port 81 is closed"


def test_traces_itself_in_a_bed_of_its_own():
    with Testbed(article.topology(), article.ruleset()) as bed:
        with bed.tracing() as tracing:
            syn = bed.connect("client", "host:80").syn
            assert "-A DOCKER -j NOSUCH" in tracing.journey(syn)
"""
FILES = ["counters.txt", "failure.txt", "journeys.html", "journeys.txt", "packets.pcapng", "repro.sh", "rules.txt"]
DROPPED = "SYN of client, 192.168.66.1:40001 > 172.17.0.2:81: dropped at host: filter :FORWARD DROP"


def run(machine: Machine, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_red.py").write_text(TESTS)
    return machine.pytest("-q", "--testbed-artifacts", "kept", *arguments, folder=folder)


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_failed_test_has_a_folder_with_everything(machine: Machine, tmp_path: Path, backend: str) -> None:
    finished = run(machine, tmp_path, "--testbed-backend", backend)
    assert "2 failed, 1 passed" in finished.stdout
    kept = tmp_path / "kept"
    assert sorted(folder.name for folder in kept.iterdir()) == [
        f"test_red.py-test_other_port_is_open-{backend}",
        "test_red.py-test_traces_itself_in_a_bed_of_its_own",
    ]
    folder = kept / f"test_red.py-test_other_port_is_open-{backend}"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert (folder / "failure.txt").read_text().splitlines()[0] == DROPPED
    assert f"packets that did not arrive {'-' * 20}" in finished.stdout
    assert DROPPED in finished.stdout
    assert "-A FORWARD -j DOCKER-USER" in (folder / "rules.txt").read_text()
    assert "[2:104] -A FORWARD -j DOCKER-USER" in (folder / "counters.txt").read_text()
    assert "→ dropped at host: filter :FORWARD DROP" in (folder / "journeys.txt").read_text()
    assert "172.17.0.2:81" in (folder / "journeys.html").read_text()
    with PcapNgReader(str(folder / "packets.pcapng")) as reader:
        comments = [comment.decode() for frame in reader for comment in frame.comments or ()]
    assert sum("filter FORWARD policy DROP" in comment for comment in comments) == 1
    assert_nothing_is_left(machine)


def test_script_reproduces_the_verdicts_without_the_testbed(machine: Machine, tmp_path: Path) -> None:
    run(machine, tmp_path)
    (script,) = tmp_path.glob("kept/*other_port*/repro.sh")
    path = f"PATH={Path(sys.base_prefix) / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin"
    again = machine.run("env", path, "PYTHONPATH=", str(script), folder=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.splitlines() == [
        "SYN of client, 192.168.66.1:40000 > 192.168.66.100:80: arrived at web (as recorded)",
        "SYN of client, 192.168.66.1:40001 > 172.17.0.2:81: did not arrive (as recorded)",
    ]
    script.write_text(script.read_text().replace(":FORWARD DROP", ":FORWARD ACCEPT"))
    other = machine.run("env", path, str(script), folder=tmp_path)
    assert other.returncode == 1
    assert "arrived at web (NOT as recorded)" in other.stdout
    assert_nothing_is_left(machine)


def test_bed_that_traces_itself_is_recorded_too(machine: Machine, tmp_path: Path) -> None:
    run(machine, tmp_path, "-k", "traces_itself")
    (folder,) = (tmp_path / "kept").iterdir()
    told = (folder / "journeys.txt").read_text()
    assert told.count("SYN  192.168.66.1:40000 > 192.168.66.100:80") == 1
    assert "incomplete" not in told


def test_workers_keep_artifacts_too(machine: Machine, tmp_path: Path) -> None:
    finished = run(machine, tmp_path, "-n", "2")
    assert "2 failed, 1 passed" in finished.stdout
    assert len(list((tmp_path / "kept").glob("*/repro.sh"))) == 2


@pytest.mark.parametrize(
    ("option", "typed", "shown"),
    [
        ("--testbed-shell", "ip -br address show dev docker0; exit", "172.17.0.1/16"),
        ("--testbed-shell=pause", "", "Press Enter to go on."),
    ],
)
def test_shell_is_in_the_bed_of_the_failed_test(
    machine: Machine, tmp_path: Path, option: str, typed: str, shown: str
) -> None:
    (tmp_path / "test_red.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "other_port", option]
    own, terminal = pty.openpty()
    argv = machine.argv("env", "SHELL=/bin/sh", *command, folder=tmp_path)
    with subprocess.Popen(argv, stdin=terminal, stdout=terminal, stderr=terminal) as running:
        os.close(terminal)
        os.write(own, f"{typed}\n".encode())
        said = _everything(own)
    assert running.returncode == 1
    assert "test_other_port_is_open[nft] failed." in said
    assert "port 81 is closed" in said
    assert "  web: nsenter --net=/proc/" in said
    assert shown in said
    assert "1 failed" in said
    assert_nothing_is_left(machine)


def test_shell_without_a_terminal_is_refused(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "test_red.py").write_text(TESTS)
    finished = machine.pytest("-q", "--testbed-shell", folder=tmp_path)
    assert finished.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--testbed-shell needs a terminal" in finished.stderr


def _everything(terminal: int) -> str:
    said = b""
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        said += more
    os.close(terminal)
    return said.decode()
