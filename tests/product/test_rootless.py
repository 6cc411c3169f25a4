"""Everything as an ordinary user: in a user namespace of its own, with nothing left behind."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_machine import REPOSITORY, Machine, assert_nothing_is_left, assert_refused
from rootless_user import User, ordinary_user

GREETING = "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1]).read().decode())"
BED_TEST = """
import os
import threading


def test_of_something_else():
    assert os.path.exists("/proc/self/ns/net")


def test_published_port_is_delivered(make_bed):
    bed = make_bed()
    syn = bed.connect("client", "host:80").syn
    assert syn.translated == ("destination 192.168.66.100:80 > 172.17.0.2:80",)
"""


@pytest.fixture
def user(machine: Machine, tmp_path: Path) -> Iterator[User]:
    found = ordinary_user(machine, tmp_path)
    yield found
    for pid in found.processes:
        os.kill(pid, signal.SIGKILL)


def assert_nothing_of_the_user_is_left(user: User) -> None:
    assert user.processes == []
    assert_nothing_is_left(user.machine)


def test_doctor_is_content_and_names_the_user_namespace(user: User) -> None:
    finished = user.invoke("doctor")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "✓ a user namespace" in finished.stdout
    assert "✗" not in finished.stdout
    assert_nothing_of_the_user_is_left(user)


def test_commands_of_the_readme_work_without_root(user: User) -> None:
    finished = user.invoke("doctor", "--fix", "up", "handshake", "trace")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "The bed testbed is up." in finished.stdout
    assert "One connection through the bed testbed" in finished.stdout
    assert "→ delivered to web as 192.168.66.2:" in finished.stdout
    assert "invoke exec client -- curl http://192.168.66.100" in finished.stdout
    assert user.machine.names == []  # of the machine itself
    (record,) = json.loads(user.invoke("status", "--json").stdout)
    assert (record["name"], record["up"], record["programs"]) == ("testbed", True, True)
    assert json.loads(user.machine.invoke("status", "--json").stdout) == []
    asked = user.invoke("exec", "client", "--", sys.executable, "-c", GREETING, "http://192.168.66.100")
    assert asked.stdout.startswith("web 172.17.0.2:80 answers 192.168.66.1:"), asked.stderr
    assert user.invoke("down").returncode == 0
    assert_nothing_of_the_user_is_left(user)


def test_beds_of_several_names_are_held_until_the_last_is_down(user: User) -> None:
    assert user.invoke("status", "up", "--name", "first").returncode == 0
    assert user.invoke("up", "--name", "second", "--backend", "legacy").returncode == 0
    assert user.invoke("down", "--name", "first").returncode == 0
    (record,) = json.loads(user.invoke("status", "--json").stdout)
    assert record["name"] == "second"
    assert user.invoke("down", "--all").returncode == 0
    assert_nothing_of_the_user_is_left(user)


def test_exec_ends_as_its_program_does(user: User) -> None:
    assert user.invoke("up").returncode == 0
    assert user.invoke("exec", "host", "--", "sh", "-c", "exit 7").returncode == 7
    listed = user.invoke("exec", "host", "--", "ip", "-br", "address", "show", "dev", "docker0")
    assert "172.17.0.1/16" in listed.stdout
    words = user.invoke("exec", "web", "--", "printf", "%s|", "a b", "--json", "'c'")
    assert words.stdout == "a b|--json|'c'|"
    assert_refused(user.invoke("exec", "hosts", "--", "true"), "has no node hosts", "host")
    assert_refused(user.invoke("exec", "host", "--", "nosuch"), "no program nosuch", "Install it")
    assert_refused(user.invoke("exec", "host"), "exec needs a program", "-- ip address")
    assert_refused(user.invoke("exec", "host", "--name", "nosuch", "--", "true"), "no bed named nosuch", "testbed")
    assert_refused(user.invoke("shell", "host"), "a shell needs a terminal", "invoke exec")
    assert user.invoke("down").returncode == 0
    assert_nothing_of_the_user_is_left(user)


def test_bed_ends_with_the_process_that_holds_it(user: User) -> None:
    assert user.invoke("up").returncode == 0
    (holder,) = [pid for pid in user.processes if b"holds-beds" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    others = [os.pidfd_open(pid) for pid in user.processes if pid != holder]
    assert others
    os.kill(holder, signal.SIGKILL)
    for other in others:
        assert select.select([other], [], [], 10)[0]
        os.close(other)
    assert_nothing_of_the_user_is_left(user)
    assert_refused(user.invoke("down"), "no bed named testbed is up", "invoke up")


def test_bed_that_is_refused_leaves_no_holder(user: User) -> None:
    rules = user.home / "my.rules"
    rules.write_text("*filter\n:FORWARD ACCEPT\n-A FORWARD --dprt 80 -j DROP\nCOMMIT\n")
    assert user.invoke("up", "--rules", str(rules)).returncode == 2
    assert_nothing_of_the_user_is_left(user)


@pytest.mark.parametrize("arguments", [(), ("-n", "2", "--testbed-backend", "all")], ids=["alone", "workers"])
def test_pytest_uses_beds_without_root(user: User, arguments: tuple[str, ...]) -> None:
    (user.home / "test_bed.py").write_text(BED_TEST)
    finished = user.pytest("-q", *arguments, folder=user.home)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert ("3 passed" if arguments else "2 passed") in finished.stdout
    assert_nothing_of_the_user_is_left(user)


def test_worker_without_a_user_namespace_says_which_option_helps(user: User) -> None:
    (user.home / "test_bed.py").write_text(BED_TEST)
    finished = user.pytest("-q", "-n", "1", folder=user.home)
    assert finished.returncode == 1
    assert "network namespaces need root or a user namespace." in finished.stdout
    assert "--testbed-rootless" in finished.stdout
    assert user.pytest("-q", "-n", "1", "--testbed-rootless", folder=user.home).returncode == 0
    assert_nothing_of_the_user_is_left(user)


def test_cases_are_green_on_both_backends_without_root(user: User) -> None:
    finished = user.invoke("test", "--path", "cases/article/test_3_syn.py", "--jobs", "0")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "iptables v1." in finished.stdout
    assert " passed" in finished.stdout
    assert_nothing_of_the_user_is_left(user)


def test_root_asks_for_a_user_namespace_by_an_option(machine: Machine) -> None:
    assert machine.invoke("up", "--rootless").returncode == 0
    assert machine.names == []
    assert json.loads(machine.invoke("status", "--json").stdout) == []
    (record,) = json.loads(machine.invoke("--rootless", "status", "--json").stdout)
    assert record["up"] is True
    assert machine.invoke("--rootless", "down").returncode == 0
    assert_nothing_is_left(machine)


def test_switch_that_forbids_user_namespaces_is_named(machine: Machine) -> None:
    forbidden = "echo 0 > /proc/sys/user/max_user_namespaces; exec "
    command = f"{forbidden} {sys.executable} -m invoke handshake --rootless"
    finished = machine.run("unshare", "--user", "--map-root-user", "sh", "-c", command, folder=REPOSITORY)
    assert_refused(
        finished, "user.max_user_namespaces is 0; as root: sysctl -w user.max_user_namespaces=", "--rootless"
    )
    assert_nothing_is_left(machine)


def in_a_container(*command: str) -> list[str]:
    """How root runs a command in a container with three capabilities and a read-only /proc/sys."""
    confined = (
        "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; exec setpriv --inh-caps=-all "
        '--bounding-set=-all,+net_admin,+net_raw,+sys_admin -- "$@"'
    )
    return ["unshare", "--mount", "sh", "-ec", confined, "sh", *command]


def test_container_with_three_capabilities_has_beds_and_green_cases(machine: Machine) -> None:
    invoke = [sys.executable, "-m", "invoke"]
    finished = machine.run(*in_a_container(*invoke, "doctor", "handshake", "trace", "--backend", "legacy"))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "→ delivered to web" in finished.stdout
    tested = machine.run(*in_a_container(*invoke, "test", "--path", "cases/article/test_3_syn.py", "--jobs", "0"))
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert_nothing_is_left(machine)
