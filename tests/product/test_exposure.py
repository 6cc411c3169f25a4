"""invoke exposure: the matrix of a host, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from own_machine import Machine, assert_nothing_is_left, assert_refused

ROOT = Path(__file__).parents[2]
DOCKER_HOST = ROOT / "docs" / "docker.yaml"
UFW = ROOT / "tests" / "data" / "foreign" / "ufw-docker-28.5.rules"


def test_the_article_says_who_reaches_its_web_server(machine: Machine) -> None:
    finished = machine.invoke("exposure")
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    assert "12 cells, 10 confirmed by packets." in lines[0]
    web = next(line for line in lines if line.startswith("web 80/tcp"))
    assert web.split()[-4:] == ["open"] * 4
    other = next(line for line in lines if line.startswith("web any other port"))
    assert other.split()[4:] == ["-", "-", "closed", "1", "open"]
    assert " 1  filter: policy FORWARD DROP" in lines
    assert max(map(len, lines[:8])) <= 100
    assert_nothing_is_left(machine)


def test_the_bypass_of_ufw_is_said_in_a_sentence(machine: Machine) -> None:
    finished = machine.invoke("exposure", "--rules", str(UFW))
    assert finished.returncode == 0, finished.stderr
    assert "web 80/tcp on 80 is open although INPUT would close it: filter: policy INPUT DROP." in finished.stdout


def test_every_form_of_the_matrix_is_written(machine: Machine, tmp_path: Path) -> None:
    names = {form: str(tmp_path / f"m.{form}") for form in ("markdown", "html", "sarif", "out")}
    options = [word for form, name in names.items() for word in (f"--{form}", name)]
    finished = machine.invoke("exposure", "--host", str(DOCKER_HOST), "--engine", "20.10", *options)
    assert finished.returncode == 0, finished.stderr
    assert "| admin 9000/tcp on 127.0.0.1:9000 | - | - | open |" in Path(names["markdown"]).read_text()
    found = json.loads(Path(names["sarif"]).read_text())["runs"][0]["results"]
    assert "exposure-loopback" in {result["ruleId"] for result in found}
    page = Path(names["html"]).read_text()
    assert '<a class="open" href="#story-1-syn-' in page
    assert "Who reaches what" in Path(names["out"]).read_text()


def test_cells_for_programs_name_rules_and_witnesses(machine: Machine) -> None:
    finished = machine.invoke("exposure", "--json")
    assert finished.returncode == 0, finished.stderr
    cells = json.loads(finished.stdout)["cells"]
    (closed,) = (cell for cell in cells if (cell["row"], cell["column"]) == ("web:*", "direct"))
    assert (closed["state"], closed["confirmed"]) == ("closed", True)
    assert closed["by"]["text"] == ":FORWARD DROP"
    assert (closed["witness"]["node"], closed["witness"]["destination"]) == ("client", "172.17.0.2")


def test_what_depends_on_the_time_is_not_judged(machine: Machine, tmp_path: Path) -> None:
    rules = machine.invoke("rules").stdout
    clock = "-A DOCKER-USER -p tcp -m time --timestart 01:00:00 --timestop 01:00:01 -j RETURN"
    changed = rules.replace(
        "-A DOCKER-USER -j RETURN", f"{clock}\n-A DOCKER-USER -i ens33 -j DROP\n-A DOCKER-USER -j RETURN"
    )
    assert clock in changed
    path = tmp_path / "my.rules"
    path.write_text(changed)
    finished = machine.invoke("exposure", "--rules", str(path))
    assert finished.returncode == 3, finished.stdout + finished.stderr
    assert "Not judged: packets that depend on -m time" in finished.stdout


@pytest.mark.parametrize("option", ["--out", "--html", "--sarif", "--markdown"])
def test_a_folder_that_is_missing_is_refused_before_anything_is_asked(machine: Machine, option: str) -> None:
    assert_refused(machine.invoke("exposure", option, "missing/file"), "there is no folder missing", "Make it")


def test_a_spec_is_written_of_what_is_open_and_holds(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from testbed.tasks import namespace\n")
    host = ["--host", str(DOCKER_HOST), "--engine", "28"]
    finished = machine.invoke("exposure", "--init", *host, folder=tmp_path)
    assert finished.returncode == 0, finished.stderr
    text = (tmp_path / "exposure.yaml").read_text()
    assert "  - {from: internet, to: [web:8080, web:8443, mail:25, mail:587, dns:53/udp]}" in text
    checked = machine.invoke("check", "exposure.yaml", *host, folder=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")
    again = machine.invoke("exposure", "--init", *host, folder=tmp_path)
    assert_refused(again, "exposure.yaml is there already", "Remove it")


def test_a_violation_names_the_engine_the_packet_and_the_rule_that_closes_it(machine: Machine, tmp_path: Path) -> None:
    spec = tmp_path / "exposure.yaml"
    spec.write_text("allow:\n  - {from: '*', to: [web, mail, dns]}\n  - {from: [host, bridge], to: '*'}\n")
    finished = machine.invoke("check", str(spec), "--host", str(DOCKER_HOST), "--engine", "20.10,28")
    assert finished.returncode == 1, finished.stdout + finished.stderr
    lines = finished.stdout.splitlines()
    assert lines[0] == "the rules of engine 20.10 for docker.yaml: 1 violation; 2 entries."
    assert lines[1].startswith(
        "- admin:9000/tcp from direct is open, and nothing allows it: IPv4, by filter: -A DOCKER"
    )
    assert lines[2] == "  witness: client (192.168.66.1) sends to 172.17.0.4:9000"
    assert "iptables -I DOCKER-USER -i ens33 -p tcp -m tcp --dport 9000 -j DROP" in finished.stdout
    assert lines[-1] == "the rules of engine 28.2.2 for docker.yaml: as the spec says; 2 entries."


def test_a_name_that_is_not_there_is_an_error_with_its_line(machine: Machine, tmp_path: Path) -> None:
    spec = tmp_path / "exposure.yaml"
    spec.write_text("allow:\n  - {from: lan, to: wbe}\n")
    finished = machine.invoke("check", str(spec), "--host", str(DOCKER_HOST))
    assert_refused(finished, f"{spec}, line 2: there is no wbe on this host.", "There are internet, lan, host")


def test_a_rule_that_misses_is_said_with_a_rule_that_does_not(machine: Machine, tmp_path: Path) -> None:
    rules = machine.invoke("rules", "--host", str(DOCKER_HOST), "--engine", "28").stdout
    path = tmp_path / "my.rules"
    path.write_text(
        rules.replace("-A DOCKER-FORWARD", "-A INPUT -p tcp -m tcp --dport 80 -j DROP\n-A DOCKER-FORWARD", 1)
    )
    finished = machine.invoke("exposure", "--host", str(DOCKER_HOST), "--rules", str(path))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "-A INPUT -p tcp -m tcp --dport 80 -j DROP misses: INPUT is never asked" in finished.stdout
    assert "iptables -I DOCKER-USER -i ens33 -p tcp -m tcp --dport 8080 -j DROP" in finished.stdout
