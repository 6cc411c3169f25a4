"""invoke capture, twin, and --host with a capture: as a person types them, on a machine of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

from own_machine import REPOSITORY, Machine, assert_nothing_is_left, assert_refused
from test_machine_untouched import fingerprint

CAPTURE = REPOSITORY / "tests" / "data" / "capture" / "docker-20.10.capture"
HOST = (
    "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1"
    " && ip link add eth0 type veth peer name far && ip link set eth0 up && ip link set far up && ip link set lo up"
    " && ip addr add 192.0.2.5/24 dev eth0 && ip route add default via 192.0.2.1"
    " && iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT && iptables-nft -P INPUT DROP"
)


def host_of(machine: Machine) -> None:
    """Make a host without Docker of this machine."""
    made = machine.run("sh", "-c", HOST)
    assert made.returncode == 0, made.stderr


def without_times(text: str) -> list[str]:
    return [line for line in text.splitlines() if not re.match(r" time | # | \d+$", line)]


def test_script_that_is_printed_and_the_task_take_the_same_capture(machine: Machine, tmp_path: Path) -> None:
    host_of(machine)
    script = machine.invoke("capture", "--script")
    assert script.returncode == 0
    assert script.stdout.startswith("#!/bin/sh\n")
    (tmp_path / "capture.sh").write_text(script.stdout)
    before = fingerprint(machine.run)
    by_hand = machine.run("sh", str(tmp_path / "capture.sh"))
    by_task = machine.invoke("capture", "--output", str(tmp_path / "own.capture"))
    assert fingerprint(machine.run) == before
    assert by_task.returncode == 0, by_task.stderr
    assert without_times(by_hand.stdout) == without_times((tmp_path / "own.capture").read_text())
    assert by_hand.stdout.endswith("== end of capture\n")


def test_host_without_docker_is_a_twin_and_drift_is_found(machine: Machine, tmp_path: Path) -> None:
    host_of(machine)
    file = str(tmp_path / "own.capture")
    assert machine.invoke("capture", "--output", file).returncode == 0
    said = machine.invoke("twin", file, "--json")
    notes = [note for note in json.loads(said.stdout)["notes"] if note["matters"]]
    assert (said.returncode, notes) == (0, []), said.stdout
    same = machine.invoke("capture", "--check", file)
    assert same.returncode == 0, same.stdout + same.stderr
    assert "no packet behaves differently" in same.stdout
    assert machine.run("iptables-nft", "-D", "INPUT", "1").returncode == 0
    other = machine.invoke("capture", "--check", file)
    assert other.returncode == 1, other.stdout + other.stderr
    assert "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT" in other.stdout


def test_capture_is_a_host_of_every_task(machine: Machine) -> None:
    trace = machine.invoke("trace", "--host", str(CAPTURE), "--to", ":80", "--json")
    assert trace.returncode == 0, trace.stderr
    assert "172.19.0.2:8080" in trace.stdout
    up = machine.invoke("up", "--host", str(CAPTURE))
    assert up.returncode == 0, up.stderr
    assert "br-cdf911166780 172.19.0.1/16" in up.stdout
    status = json.loads(machine.invoke("status", "--json").stdout)
    assert status[0]["up"]
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


def test_two_captures_are_compared_and_an_upgrade_is_named(machine: Machine, tmp_path: Path) -> None:
    text = CAPTURE.read_text()
    closed = " [0:0] -A DOCKER-USER -p tcp -m tcp --dport 8080 -j DROP\n"
    (tmp_path / "tuesday.capture").write_text(text.replace(" [0:0] -A DOCKER-USER -j RETURN\n", closed, 1))
    assert (tmp_path / "tuesday.capture").read_text() != text
    found = machine.invoke("diff", str(CAPTURE), str(tmp_path / "tuesday.capture"))
    assert found.returncode == 1, found.stderr
    assert "--dport 8080 -j DROP" in found.stdout
    same = machine.invoke("diff", str(CAPTURE), str(CAPTURE), "--engine", "20.10.24")
    assert same.returncode == 0, same.stdout


def test_twin_names_contradictions_with_exit_code_1(machine: Machine) -> None:
    said = machine.invoke("twin", str(CAPTURE))
    assert said.returncode == 1
    order = [said.stdout.index(heading) for heading in ("As on the host:", "Approximated:", "Contradictions:")]
    assert order == sorted(order)
    assert "! app publishes [::]:8082:82/tcp, and nothing listens there in the container." in said.stdout


def test_capture_is_anonymized_by_a_map_that_is_kept(machine: Machine, tmp_path: Path) -> None:
    given = CAPTURE.read_text().replace("192.168.66.", "8.8.4.")
    (tmp_path / "given.capture").write_text(given)
    words = ("capture", "--from", str(tmp_path / "given.capture"), "--anonymize", str(tmp_path / "map.json"))
    first = machine.invoke(*words)
    second = machine.invoke(*words)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert first.stdout == second.stdout
    for name in ("8.8.4.", "testbed_front", " host shop", '"/web"'):
        assert name in given
        assert name not in first.stdout
    assert json.loads((tmp_path / "map.json").read_text())["names"]["web"]
    assert (tmp_path / "map.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "shared.capture").write_text(first.stdout)
    assert machine.invoke("twin", str(tmp_path / "shared.capture")).returncode == 1


def test_bad_captures_and_options_are_refused_in_a_sentence(machine: Machine, tmp_path: Path) -> None:
    cut = tmp_path / "cut.capture"
    cut.write_text(CAPTURE.read_text()[:5000])
    for words, said in (
        (("twin", str(cut)), "is cut off"),
        (("trace", "--host", str(cut), "--to", ":80"), "is cut off"),
        (("twin", str(tmp_path / "nothere")), "is no capture of a host"),
        (("twin", str(REPOSITORY / "docs" / "docker.yaml")), "is no capture of a host"),
        (("trace", "--host", str(CAPTURE), "--daemon", "daemon.json"), "--daemon is about a compose file"),
        (("diff", str(CAPTURE), "article"), "article is no capture, and the other side is one"),
        (("diff", "article", "28", "--engine", "29"), "--engine is about two captures"),
        (("capture", "--script", "--check", str(CAPTURE)), "--script goes without --check"),
        (("capture", "--json"), "--json is about --check"),
    ):
        assert_refused(machine.invoke(*words), said, "")
    assert_nothing_is_left(machine)
