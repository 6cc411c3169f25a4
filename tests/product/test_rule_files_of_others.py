"""Files that are no plain dump, given to tasks as a user gives them."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_machine import REPOSITORY, RULES, Machine, assert_nothing_is_left, assert_refused

DATA = REPOSITORY / "tests" / "data" / "rulefiles"


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ('include "/etc/shadow"\n', "a rule file includes no others", "nft list ruleset"),
        ('include "/dev/zero"\n', "a rule file includes no others", "nft list ruleset"),
        ((DATA / "iptables-L.txt").read_text(), "what `iptables -L` prints", "iptables-save"),
        ("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -h\nCOMMIT\n", "line 3: '-A INPUT -h'", "leave that option"),
        ("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s a.example.com\nCOMMIT\n", "line 3: ", "Write the address"),
        ("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\0\nCOMMIT\n", "line 3 has a NUL byte", "iptables-save"),
    ],
)
def test_what_cannot_be_read_is_said_in_two_lines(
    machine: Machine, tmp_path: Path, text: str, said: str, remedy: str
) -> None:
    (tmp_path / "my.rules").write_text(text)
    assert_refused(machine.invoke("trace", "--rules", str(tmp_path / "my.rules")), said, remedy)
    assert_nothing_is_left(machine)


def test_a_device_as_rules_is_refused_at_once(machine: Machine) -> None:
    assert_refused(machine.invoke("behaviours", "--rules", "/dev/zero"), "/dev/zero cannot be read: it is a device", "")


@pytest.mark.parametrize("option", ["--rules", "--engine", "--host"])
def test_an_empty_option_is_refused(machine: Machine, option: str) -> None:
    assert_refused(machine.invoke("trace", option, ""), f"{option} is empty", "leave it out")


def test_a_host_that_the_rules_contradict_is_said_before_the_answer_and_leaves_it_open(
    machine: Machine, tmp_path: Path
) -> None:
    host = tmp_path / "docker.yaml"
    host.write_text(
        "services:\n  db: {network_mode: bridge}\n  web: {network_mode: bridge, ports: ['80:80']}\n"
    )  # the article's rules lead to the first
    finished = machine.invoke("trace", "--host", str(host), "--rules", str(RULES))
    assert "warning: The host publishes port 80/tcp for web, but line 35 of the rules leads it to" in finished.stderr
    assert "an address of db" in finished.stderr
    assert finished.returncode == 3, finished.stdout
    assert_nothing_is_left(machine)
