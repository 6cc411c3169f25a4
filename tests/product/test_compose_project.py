"""A folder with a compose file: the host that the tasks build of it, and the rules that are printed for it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from own_machine import REPOSITORY, Machine, assert_nothing_is_left, assert_refused

INVOKE = Path(sys.executable).parent / "invoke"
FOLDER = """
name: shop
networks: {back: {internal: true}}
services:
  host: {ports: ['${PORT:-80}:80'], networks: {default: {aliases: [www]}, back: }}
  web: {network_mode: 'service:host'}
  worker: {deploy: {replicas: 2}, networks: [back]}
  lan: {container_name: own, ports: ['81:81']}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(FOLDER)
    return tmp_path


def test_every_name_of_a_project_can_be_asked(machine: Machine, folder: Path) -> None:
    assert machine.invoke("up", "--host", str(folder)).returncode == 0
    for sender, to in (
        ("worker", "www:80"),
        ("shop-worker-2", "shop-host-1:80"),
        ("worker-1", "worker-2:9"),
        ("client", "host:80"),
        ("client", "shop_default:9"),
        ("own", "internet:80"),
        ("web", "own:81"),
    ):
        traced = machine.invoke("trace", "--from", sender, "--to", to, "--json")
        assert traced.returncode in (0, 1), traced.stderr
        assert json.loads(traced.stdout)["packets"], (sender, to)
    refused = machine.invoke("trace", "--from", "nobody", "--to", "www:80")
    assert refused.returncode == 2
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


@pytest.mark.parametrize("engine", ["20.10", "28.3.2", "latest", "29-nftables"])
def test_printed_rules_are_those_of_the_bed(machine: Machine, folder: Path, engine: str) -> None:
    host = ("--host", str(folder), "--engine", engine)
    printed = machine.invoke("rules", *host)
    assert printed.returncode == 0, printed.stderr
    (folder / "printed.rules").write_text(printed.stdout)
    compared = machine.invoke(
        "diff", "--host", str(folder), str(folder / "printed.rules"), str(folder / "printed.rules")
    )
    assert compared.returncode in (0, 3), compared.stderr
    bed = machine.invoke("up", "--host", str(folder), "--rules", str(folder / "printed.rules"), "--json")
    assert bed.returncode == 0, bed.stderr
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


def test_a_compose_file_beside_is_mentioned_and_not_asked(machine: Machine, folder: Path) -> None:
    (folder / "tasks.py").write_text("from testbed.tasks import namespace\n")
    finished = machine.run("sh", "-c", f"cd {folder} && exec {INVOKE} rules")
    assert finished.returncode == 0, finished.stderr
    assert "note: compose.yaml is here, and it is not asked; --host . takes it." in finished.stderr
    assert "172.17.0.2:80" in finished.stdout


def test_rules_and_hosts_are_read_from_standard_input(machine: Machine, folder: Path) -> None:
    command = f"{INVOKE} --search-root {REPOSITORY}"
    piped = machine.run("sh", "-c", f"cat {folder}/compose.yaml | {command} rules --host - | {command} up --rules -")
    assert piped.returncode == 0, piped.stderr
    assert "standard input" in piped.stdout
    assert machine.invoke("down").returncode == 0
    assert_nothing_is_left(machine)


def test_a_folder_without_a_compose_file_is_refused(machine: Machine, tmp_path: Path) -> None:
    assert_refused(machine.invoke("rules", "--host", str(tmp_path)), "has no compose file", "Compose looks for")
