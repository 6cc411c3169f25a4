"""Exposure specs that pytest collects: a test for each entry, engine and backend, failures with the journey."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from own_machine import Machine

DOCKER_HOST = Path(__file__).parents[2] / "docs" / "docker.yaml"
SPEC = """
engines: ["20.10", "28"]
allow:
  - {from: internet, to: [web:8080, mail:25]}
  - {from: ["*"], to: [web, mail, dns]}
  - {from: [host, bridge], to: "*"}
deny:
  - {from: lan, to: admin}
"""


def folder(tmp_path: Path, spec: str = SPEC, name: str = "exposure.yaml") -> Path:
    shutil.copy(DOCKER_HOST, tmp_path / "compose.yaml")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / name).write_text(spec)
    return tmp_path


def test_an_entry_is_a_test_for_each_engine_and_its_failure_shows_the_journey(machine: Machine, tmp_path: Path) -> None:
    finished = machine.pytest("-rA", "-n", "2", folder=folder(tmp_path))
    assert finished.returncode == 1, finished.stdout + finished.stderr
    lines = finished.stdout.splitlines()
    passed = {line.partition("::")[2] for line in lines if line.startswith("PASSED")}
    assert "allow: internet to web:8080 mail:25[28-nft]" in passed
    assert {"nothing else is open[28-nft]", "deny: lan to admin[28-nft]"} <= passed
    (failed,) = (line for line in lines if line.startswith("FAILED"))
    assert "exposure.yaml::deny: lan to admin[20.10-nft]" in failed
    assert "- admin:9000/tcp from direct is open, and it is denied" in finished.stdout
    assert "→ delivered to admin as 192.168.66.1:" in finished.stdout
    assert "iptables -I DOCKER-USER -i ens33 -p tcp -m tcp --dport 9000 -j DROP" in finished.stdout
    assert len(passed) == 9


def test_a_spec_with_another_name_and_backend_is_collected_and_covered(machine: Machine, tmp_path: Path) -> None:
    spec = SPEC.replace('["20.10", "28"]', '["28"]')
    place = folder(tmp_path, spec, "shop.exposure.yaml")
    finished = machine.pytest("--testbed-backend", "legacy", "--rule-coverage", "rules.json", folder=place)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "5 passed" in finished.stdout
    recorded = json.loads((place / "rules.json").read_text())
    assert len(recorded["rule_sets"]) == 1
    assert len(recorded["tests"]) == 5


def test_a_spec_that_is_wrong_is_an_error_with_its_line(machine: Machine, tmp_path: Path) -> None:
    finished = machine.pytest(folder=folder(tmp_path, "allow:\n  - {from: lan}\n"))
    assert finished.returncode == 2, finished.stdout
    assert "exposure.yaml, line 2: `to` is missing or empty." in finished.stdout
