"""invoke conformance: the model beside a real engine, which leaves nothing behind however it ends.

Tests with an engine need one that is installed and fail where there is none: a comparison that did not happen is not
to look like one that went well.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from own_machine import Machine, assert_nothing_is_left, assert_refused
from test_machine_untouched import fingerprint

from testbed.conformance.programs import find
from testbed.errors import MissingRequirement

INSTALL = "apt-get install docker.io busybox-static"
CONFORMANCE = (sys.executable, "-m", "invoke", "conformance")
FOLDERS = ("ls", "-AR", "/etc/docker", "/etc/containerd", "/var/lib/docker", "/var/lib/containerd", "/opt/containerd")
LYING = """
import sys
from dataclasses import replace
from ipaddress import IPv4Interface

from testbed.conformance import hosts, run, wishes
from testbed.docker import article
from testbed.docker.engines import engine
from testbed.tasks import namespace

docker0 = replace(article.DOCKER0, gateway=IPv4Interface("172.17.0.9/16"))
web = replace(article.WEB, network=docker0)
host = replace(article.HOST, networks=(docker0,), containers=(web,), userland_proxy=False)
classic = engine("20.10")
rules = lambda host: classic.rules(host).insert("filter", "DOCKER-USER", "-j DROP")
run.engine_of = lambda _: replace(classic, rules=rules)
wishes.daemon = lambda _: []
hosts.known = lambda: {"a lie": host, "of rules alone": article.HOST}
"""


def with_an_engine(test: Callable[..., None]) -> Callable[..., None]:
    """Fails the test, with a line that says what to install, where there is no engine."""

    @functools.wraps(test)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        if lacking := what_is_lacking():
            pytest.fail(f"NOT COMPARED WITH A REAL ENGINE: {lacking} Install one: {INSTALL}", pytrace=False)
        test(*args, **kwargs)

    return wrapped


def what_is_lacking() -> str:
    try:
        find()
    except MissingRequirement as error:
        return error.what
    return ""


@with_an_engine
def test_the_model_and_the_installed_engine_are_equal_on_every_known_host(machine: Machine) -> None:
    before, folders = fingerprint(machine.run), machine.run(*FOLDERS).stdout
    finished = machine.invoke("conformance", "--json")
    assert finished.returncode in (0, 1), finished.stderr
    compared = [host for host in json.loads(finished.stdout)["hosts"] if not host["left_out"]]
    assert [line for host in compared for line in lines_of(host)] == []
    assert finished.returncode == 0
    assert len(compared) >= 21
    assert fingerprint(machine.run) == before
    assert machine.run(*FOLDERS).stdout == folders
    assert_nothing_is_left(machine)


@with_an_engine
def test_an_engine_can_be_given_iptables_legacy(machine: Machine) -> None:
    """Whatever iptables is on the machine; hosts of IPv4, since of ip6tables-legacy there is one that is defective."""
    finished = machine.invoke("conformance", "--backend", "legacy", "--only", "three networks", "--json")
    found = json.loads(finished.stdout)
    assert [line for host in found["hosts"] for line in lines_of(host)] == []
    assert (finished.returncode, found["backend"], len(found["hosts"])) == (0, "legacy", 2)
    assert_nothing_is_left(machine)


def test_a_backend_that_there_is_not_is_refused(machine: Machine) -> None:
    assert_refused(machine.invoke("conformance", "--backend", "bpf"), "there is no backend bpf", "nft, legacy")


@with_an_engine
def test_a_model_that_says_something_else_is_shown_line_by_line_and_is_a_finding(
    machine: Machine, tmp_path: Path
) -> None:
    """So that equality means something: a rule that no engine writes, on a host with another address and no proxy.

    Where the addresses are the same, the packets tell that rule too.
    """
    (tmp_path / "tasks.py").write_text(LYING)
    finished = machine.invoke("conformance", folder=tmp_path)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    for shown in (
        "0 of 2 hosts are equal",
        "rules      - filter -A DOCKER-USER -j DROP",
        "addresses  + docker0 172.17.0.1/16 brd 172.17.255.255 scope global",
        "routes     - local: local 172.17.0.9/32 dev docker0",
        "port flags - web on docker0 hairpin on",
        "sysctls    - net.ipv4.conf.docker0.route_localnet = 1",
        "packets    + nothing was asked, since the addresses differ",
        "packets    + client asks 192.168.66.100:80/tcp (web) by way of 192.168.66.100: SYN/ACK 172.17.0.2:80 >",
        "(web) by way of 192.168.66.100: [1:52] filter -A DOCKER-USER -j DROP",
    ):
        assert shown in finished.stdout
    assert_nothing_is_left(machine)


def test_without_an_engine_it_says_what_to_install(machine: Machine) -> None:
    hide(machine, "dockerd")
    assert_refused(machine.invoke("conformance"), "the program dockerd is not installed", INSTALL)
    assert_nothing_is_left(machine)


@with_an_engine
@pytest.mark.parametrize("program", ["containerd", "docker-proxy", "runc"])
def test_without_a_part_of_the_engine_it_says_which(machine: Machine, program: str) -> None:
    hide(machine, program)
    assert_refused(machine.invoke("conformance"), f"the program {program} is not installed", INSTALL)


@with_an_engine
def test_a_busybox_that_needs_a_dynamic_linker_is_not_taken(machine: Machine) -> None:
    """As the one of Debian's package busybox does; no container would start with it."""
    hide(machine, "busybox")
    machine.run("sh", "-c", "mkdir /run/bin && cp /bin/true /run/bin/busybox")
    finished = machine.run("env", f"PATH=/run/bin:{os.environ['PATH']}", *CONFORMANCE)
    assert_refused(finished, "no statically linked busybox is installed", INSTALL)


def test_a_path_with_no_engine_is_refused(machine: Machine, tmp_path: Path) -> None:
    finished = machine.invoke("conformance", "--dockerd", str(tmp_path / "dockerd"))
    assert_refused(finished, f"there is no program {tmp_path}/dockerd", "--dockerd PATH")


@with_an_engine
def test_an_engine_that_does_not_start_is_quoted(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "dockerd").write_text("#!/bin/sh\necho failed to start daemon: no reason given\nexit 1\n")
    (tmp_path / "dockerd").chmod(0o755)
    finished = machine.invoke("conformance", "--dockerd", str(tmp_path / "dockerd"))
    assert_refused(finished, "dockerd has ended: failed to start daemon: no reason given", "--dockerd PATH")
    assert_nothing_is_left(machine)


@with_an_engine
@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("containerd", signal.SIGKILL),
        ("dockerd", signal.SIGKILL),
        ("docker-proxy", signal.SIGKILL),
        ("busybox", signal.SIGKILL),
        ("busybox", signal.SIGTERM),
        ("busybox", signal.SIGINT),
    ],
)
def test_ended_in_the_middle_it_leaves_no_process_mount_control_group_or_namespace(
    machine: Machine, program: str, how: signal.Signals
) -> None:
    """Ended when that program runs: while the engine starts, while a port is published, with a container running."""
    started = machine.start(*CONFORMANCE)
    wait_until(lambda: program in [name_of(pid) for pid in family(started.pid)])
    held = namespaces(family(started.pid)) - namespaces([machine.holder.pid])
    assert {kind for kind, _ in held} == {"mnt", "pid", "cgroup", "net"}
    groups = {group for pid in family(started.pid) for group in groups_of(pid)}
    assert groups
    started.send_signal(how)
    started.communicate(timeout=60)
    assert started.returncode != 0
    wait_until(lambda: not held & namespaces(everyone()))
    wait_until(lambda: not groups & groups_that_are(machine))
    assert_nothing_is_left(machine)


def lines_of(host: dict[str, Any]) -> list[str]:
    """What an engine refused or has otherwise, as --json tells it."""
    different = [f"{host['host']}: {what}: {line}" for what, lines in host["differences"].items() for line in lines]
    return [f"{host['host']}: {host['refused']}"] if host["refused"] else different


def hide(machine: Machine, program: str) -> None:
    """Make a program one that cannot be run, on this machine only."""
    folders = [*os.environ["PATH"].split(os.pathsep), "/usr/sbin", "/sbin"]
    for found in {shutil.which(program, path=folder) for folder in folders} - {None}:
        assert machine.run("mount", "--bind", "/dev/null", str(found)).returncode == 0


def wait_until(condition: Callable[[], bool]) -> None:
    """By looking again, since the processes are not ours to wait for."""
    tick = threading.Event()
    for _ in range(1500):
        if condition():
            return
        tick.wait(0.02)
    raise AssertionError("not within 30 s")


def everyone() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    parents = {one: parent for one in everyone() if (parent := parent_of(one))}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def parent_of(pid: int) -> int:
    """0 for a process that is gone; stat is "pid (name) state parent ...", proc_pid_stat(5)."""
    after_name = of(pid, "stat").rpartition(")")[2].split()
    return int(after_name[1]) if after_name else 0


def name_of(pid: int) -> str:
    return of(pid, "comm").strip()


def groups_of(pid: int) -> Iterator[str]:
    """The control groups of ours that it is in."""
    parts = of(pid, "cgroup").rpartition("0::")[2].strip().split("/")
    return (part for part in parts if part.startswith("docker-host-testbed-"))


def groups_that_are(machine: Machine) -> set[str]:
    looking = "mount -t cgroup2 cgroup2 /mnt; find /mnt -type d -name 'docker-host-testbed-*'"
    found = machine.run("unshare", "--mount", "sh", "-ec", looking)
    assert found.returncode == 0, found.stderr
    return {Path(line).name for line in found.stdout.splitlines()}


def of(pid: int, file: str) -> str:
    """A file about a process; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/{file}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def namespaces(processes: Iterable[int]) -> set[tuple[str, int]]:
    """What kinds of namespaces they are in, and which."""
    found = set()
    for pid in processes:
        for kind in ("mnt", "pid", "cgroup", "net"):
            try:
                found.add((kind, Path(f"/proc/{pid}/ns/{kind}").stat().st_ino))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found
