"""A host file and rules that lead a published port to different containers, in every form of an answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from own_machine import RULES, Machine

HOST = "services: {other: {network_mode: bridge, ports: ['81:80']}, web: {network_mode: bridge, ports: ['80:80']}}\n"
SAID = "The host publishes port 80/tcp for web, but line"


@pytest.fixture
def given(tmp_path: Path) -> tuple[str, ...]:
    """Options for a host on which web has another address than the article's rules say."""
    (tmp_path / "docker.yaml").write_text(HOST)
    return "--host", str(tmp_path / "docker.yaml"), "--rules", str(RULES)


@pytest.mark.parametrize("task", ["trace", "behaviours"])
def test_json_carries_them(machine: Machine, given: tuple[str, ...], task: str) -> None:
    finished = machine.invoke(task, *given, "--json")
    assert [one[: len(SAID)] for one in json.loads(finished.stdout)["contradictions"]] == [SAID]
    assert SAID in finished.stderr
    assert finished.returncode == 3


def test_a_difference_carries_them_in_json(machine: Machine, given: tuple[str, ...]) -> None:
    finished = machine.invoke("diff", str(RULES), str(RULES), *given[:2], "--json")
    assert [one[: len(SAID)] for one in json.loads(finished.stdout)["contradictions"]] == [SAID, SAID]
    assert finished.returncode == 3


def test_a_page_is_written_and_they_are_said(machine: Machine, given: tuple[str, ...], tmp_path: Path) -> None:
    finished = machine.invoke("report", *given, "--out", str(tmp_path / "page.html"))
    assert (tmp_path / "page.html").exists()
    assert SAID in finished.stderr
    assert finished.returncode == 3


@pytest.mark.parametrize("task", ["coverage", "mutate"])
def test_they_are_said_before_cases_run(machine: Machine, given: tuple[str, ...], tmp_path: Path, task: str) -> None:
    finished = machine.invoke(task, *given, "--path", str(tmp_path), "--jobs", "0")
    assert SAID in finished.stderr
    assert finished.returncode == 2  # there is no case in that folder
