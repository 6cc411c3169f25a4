"""Defaults of options from pyproject.toml and from environment variables."""

from __future__ import annotations

from pathlib import Path

import pytest
from invoke.parser import Parser

from testbed.errors import TestbedError
from testbed.tasks import namespace, settings

FOLDER_TABLE = """
[tool.docker-host-testbed]
host = ["compose.yaml", "more.yaml"]
engine = "27"
allow = "allowed.txt"
thresholds = { coverage = 80, mutate = 92.5 }
"""


def options(*arguments: str) -> dict[str, object]:
    """The values with which a task of this command line is called."""
    contexts = namespace.to_contexts()
    parser = Parser(contexts=contexts)
    (task,) = parser.parse_argv(list(arguments))
    settings.apply([task], contexts)
    return dict(task.as_kwargs)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table, entered by the folder `ci` in it."""
    (tmp_path / "pyproject.toml").write_text(FOLDER_TABLE)
    (tmp_path / "ci").mkdir()
    monkeypatch.chdir(tmp_path / "ci")
    return tmp_path


@pytest.mark.usefixtures("project")
def test_table_gives_options_with_paths_from_its_folder(capsys: pytest.CaptureFixture[str]) -> None:
    found = options("behaviours")
    assert (found["host"], found["engine"], found["rules"]) == ("../compose.yaml,../more.yaml", "27", None)
    assert capsys.readouterr().err.splitlines() == [
        "note: ../pyproject.toml gives --host ../compose.yaml,../more.yaml.",
        "note: ../pyproject.toml gives --engine 27.",
    ]


@pytest.mark.usefixtures("project")
def test_command_line_comes_before_every_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST_TESTBED_HOST", "other.yaml")
    monkeypatch.setenv("DOCKER_HOST_TESTBED_ENGINE", "28")
    found = options("rules", "--host", "mine.yaml", "--engine", "29")
    assert (found["host"], found["engine"]) == ("mine.yaml", "29")
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("project")
def test_variable_of_a_task_comes_before_that_of_all_and_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST_TESTBED_ENGINE", "28")
    assert options("rules")["engine"] == "28"
    monkeypatch.setenv("DOCKER_HOST_TESTBED_RULES_ENGINE", "29")
    assert options("rules")["engine"] == "29"
    assert options("behaviours")["engine"] == "28"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("task", "least"), [("coverage", "80"), ("mutate", "92.5")])
def test_thresholds_are_of_their_tasks(task: str, least: str) -> None:
    assert options(task)["fail_under"] == least


@pytest.mark.usefixtures("project")
def test_allow_is_a_path_of_the_table() -> None:
    assert options("diff", "a", "b")["allow"] == "../allowed.txt"


@pytest.mark.usefixtures("project")
def test_named_bed_has_its_own_host_and_engine() -> None:
    found = options("trace", "--name", "other")
    assert (found["host"], found["engine"]) == (None, None)
    assert options("up", "--name", "other")["engine"] == "27"


@pytest.mark.usefixtures("project")
def test_rules_of_the_command_line_have_no_engine() -> None:
    assert options("up", "--rules", "my.rules")["engine"] is None


@pytest.mark.usefixtures("project")
def test_default_is_told_from_what_is_typed() -> None:
    assert settings.is_default(str(options("trace")["name"])) is False
    default = options("trace")["host"]
    assert isinstance(default, str)
    assert settings.is_default(default)
    assert settings.is_default(None)


@pytest.mark.parametrize(("text", "value"), [("1", True), ("true", True), ("0", False), ("No", False)])
def test_switch_is_on_or_off(monkeypatch: pytest.MonkeyPatch, text: str, value: bool) -> None:
    monkeypatch.setenv("DOCKER_HOST_TESTBED_STATUS_JSON", text)
    assert options("status")["json"] is value


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DOCKER_HOST_TESTBED_JSON", "maybe", "DOCKER_HOST_TESTBED_JSON=maybe is neither on nor off."),
        ("DOCKER_HOST_TESTBED_ENIGNE", "28", "DOCKER_HOST_TESTBED_ENIGNE is no option"),
        ("DOCKER_HOST_TESTBED_RULES_PORT", "28", "DOCKER_HOST_TESTBED_RULES_PORT is no option"),
    ],
)
def test_variable_that_is_no_option_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(TestbedError) as refused:
        options("status")
    assert sentence in refused.value.what
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("table", "sentence", "remedy"),
    [
        ('enigne = "28"', "has no key enigne", "Did you mean engine?"),
        ("engine = 28", "engine is no text", "Correct"),
        ('engine = ["27", "28"]', "engine is no text", "Correct"),
        ("host = []", "host is no text", "Correct"),
        ("host = ''", "host is no text", "Correct"),
        ("thresholds = 3", "thresholds is no table", "coverage = 90"),
        ("thresholds = { mutation = 3 }", "has no key mutation", "coverage, mutate"),
        ("thresholds = { mutate = true }", "thresholds.mutate is no number", "from 0 to 100"),
        ("engine = ", "cannot be read", "Correct its TOML"),
    ],
)
def test_table_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, sentence: str, remedy: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.docker-host-testbed]\n{table}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TestbedError) as refused:
        options("rules")
    assert sentence in refused.value.what
    assert str(tmp_path / "pyproject.toml") in refused.value.what
    assert remedy in refused.value.remedy


def test_pyproject_of_others_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text("no toml at all")
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci" / "pyproject.toml").write_text("[project]\ndependencies = ['docker-host-testbed']\n")
    monkeypatch.chdir(tmp_path / "ci")
    assert options("rules")["engine"] is None
