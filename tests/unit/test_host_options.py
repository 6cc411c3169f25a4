"""The options beside --host: the project's name, the daemon's configuration, environment files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.parser import Argument
from invoke.tasks import Task

from testbed import tasks
from testbed.errors import TestbedError
from testbed.tasks.chosen import choose
from testbed.tasks.host_options import HostOptions, host_options

BESIDE = ("project-name", "daemon", "env-file")


def tasks_with_a_host() -> Iterator[tuple[str, dict[str, Argument]]]:
    for task in vars(tasks).values():
        if isinstance(task, Task):
            options = {argument.names[0]: argument for argument in task.get_arguments()}
            if "host" in options:
                yield task.name, options


def test_every_task_with_a_host_has_the_options_beside_it_in_the_same_words() -> None:
    found = dict(tasks_with_a_host())
    assert found.keys() >= {"up", "trace", "handshake", "behaviours", "diff", "rules", "report", "coverage", "mutate"}
    words = {tuple(options[name].help for name in BESIDE) for options in found.values()}
    assert len(words) == 1
    for name, letter in (("project-name", "p"), ("host", "h"), ("daemon", "d")):
        assert {options[name].nicknames for options in found.values()} == {(letter,)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "compose.yml").write_text("services: {web: {ports: ['${PORT:?}:80']}, db: {network_mode: bridge}}")
    (tmp_path / "one.env").write_text("PORT=1")
    (tmp_path / "two").write_text("PORT=8080")
    (tmp_path / "engine.json").write_text('{"bip": "10.9.0.1/24"}')
    return tmp_path


def options(folder: Path, **beside: str) -> HostOptions:
    found = host_options(str(folder), **beside)
    assert found is not None
    return found


def test_environment_files_daemon_and_name_are_those_of_the_options(folder: Path) -> None:
    files = f"{folder / 'one.env'},{folder / 'two'}"
    host = options(folder, env_file=files, daemon=str(folder / "engine.json"), project_name="shop").described.host
    web, db = host.containers
    assert [str(port) for port in web.published] == ["8080:80/tcp"], "the last file counts"
    assert str(db.address) == "10.9.0.2"
    assert host.node_called("shop-web-1") == "web"
    assert host.network_called("shop_default") is not None


def test_the_project_name_counts_before_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "80")
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "outer")
    assert options(folder).described.host.network_called("outer_default") is not None
    assert options(folder, project_name="mine").described.host.network_called("mine_default") is not None


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ({"project_name": "Shop"}, r"'Shop' is no name for a project \(--project-name\)"),
        ({"daemon": "none.json"}, r"none\.json cannot be read"),
        ({"env_file": "none.env"}, r"none\.env cannot be read"),
        ({"env_file": "two", "daemon": "two"}, "two is no JSON"),
        ({}, "the variable PORT is required"),
    ],
)
def test_options_that_cannot_be_followed_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, beside: dict[str, str], said: str
) -> None:
    monkeypatch.chdir(folder)
    if "env_file" not in beside:
        monkeypatch.delenv("PORT", raising=False)
    if beside.keys() & {"project_name", "daemon"}:
        monkeypatch.setenv("PORT", "80")
    with pytest.raises(TestbedError, match=said):
        choose(options(folder, **beside), None, None)


def test_a_daemon_that_is_described_twice_is_refused(folder: Path) -> None:
    (folder / "daemon.json").write_text("{}")
    (folder / "own.yml").write_text("daemon: {icc: false}\nservices: {web: {}}")
    both = f"{folder / 'own.yml'},{folder / 'daemon.json'}"
    with pytest.raises(TestbedError, match=r"own\.yml, line 1: the daemon is described here and in "):
        _ = HostOptions(both).described
    with pytest.raises(TestbedError, match=r"the daemon is described by .*engine\.json and by .*daemon\.json"):
        _ = HostOptions(both, daemon=str(folder / "engine.json")).described


@pytest.mark.parametrize("option", BESIDE)
def test_an_option_about_a_host_that_is_not_named_is_refused(option: str) -> None:
    with pytest.raises(TestbedError, match=f"--{option} is about the host of --host, which is not given") as caught:
        host_options(None, **{option.replace("-", "_"): "x"})
    assert "--host ." in caught.value.remedy
    with pytest.raises(TestbedError, match=f"--{option} is empty"):
        host_options(".", **{option.replace("-", "_"): " "})
