"""Defaults of options that a project and its CI give: a table in pyproject.toml, and environment variables.

`[tool.docker-host-testbed]` gives host, engine, rules, spec and allow to every task that has the option, and its table
`thresholds` gives `--fail-under` to the tasks that it names. `DOCKER_HOST_TESTBED_OPTION` gives an option to every task
that has it, `DOCKER_HOST_TESTBED_TASK_OPTION` to one task. The command line comes first, then a variable of the task, a
variable of all tasks, and the table. What is taken is printed to standard error.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from testbed.errors import TestbedError
from testbed.visible import visible

TABLE = "docker-host-testbed"
PREFIX = "DOCKER_HOST_TESTBED_"
THRESHOLDS = "thresholds"
ROOTLESS = f"{PREFIX}ROOTLESS"
_FAIL_UNDER = "fail-under"
_FILES = ("host", "rules", "spec", "allow")  # paths, from the folder of pyproject.toml
_KEYS = (*_FILES, "engine")
_BED = ("host", "project-name", "daemon", "env-file", "engine", "rules", "backend")  # `--name` names a bed with its own
_TRUTH = {**dict.fromkeys(("1", "true", "yes", "on"), True), **dict.fromkeys(("0", "false", "no", "off"), False)}
_WHERE = f"Correct [tool.{TABLE}] in that file."


class Default(str):
    """The value of an option that the command line does not have."""


@dataclass(frozen=True, slots=True)
class OptionSetting:
    """A value for an option, and what gives it."""

    value: str
    source: str


def apply(tasks: Sequence[ParserContext], known: Iterable[ParserContext]) -> None:
    """Give each option that the command line leaves out the value of the environment or of pyproject.toml.

    `known` are all tasks with their options. Raises TestbedError for a setting that is no option, or no value of it.
    """
    environment = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    _refuse_unknown(environment, known)
    table = _table_above(Path.cwd())
    for context in tasks:
        wanted = [(argument, _of(context, argument, environment, table)) for argument in _left_out(context)]
        found = {_flag(argument): (argument, setting) for argument, setting in wanted if setting is not None}
        if "rules" in found:
            found.pop("engine", None)  # rules that are given have no engine
        for argument, setting in found.values():
            _give(argument, setting)
            print(f"note: {_said(argument, setting)}", file=sys.stderr)  # noqa: T201


def is_default(value: str | None) -> bool:
    """Return whether the command line does not have this value of an option."""
    return value is None or isinstance(value, Default)


def truth(name: str, text: str) -> bool:
    """Return the value of a variable that switches something on or off."""
    if text.lower() not in _TRUTH:
        raise TestbedError(f"{name}={visible(text)} is neither on nor off.", "Set it to 1 or to 0.")
    return _TRUTH[text.lower()]


def variable(option: str, task: str = "") -> str:
    """Return the environment variable of an option, in all tasks or in one."""
    words = f"{task}_{option}" if task else option
    return PREFIX + words.replace("-", "_").upper()


def _left_out(context: ParserContext) -> Iterator[Argument]:
    """Yield the options that the command line leaves out and a setting may give."""
    given = {_flag(argument) for argument in context.args.values() if argument.got_value}
    excluded = set(_BED) if "name" in given and context.name not in ("up", "down") else set()
    excluded |= {"engine"} if "rules" in given else {"rules"} if "engine" in given else set()
    for argument in context.args.values():
        if not argument.positional and argument.kind in (str, bool) and _flag(argument) not in given | excluded:
            yield argument


def _of(
    context: ParserContext, argument: Argument, environment: Mapping[str, str], table: Mapping[str, OptionSetting]
) -> OptionSetting | None:
    flag, task = _flag(argument), str(context.name)
    for name in (variable(flag, task), variable(flag)):
        if name in environment:
            return OptionSetting(environment[name], name)
    if flag == _FAIL_UNDER:
        return table.get(f"{THRESHOLDS}.{task}")
    return table.get(flag) if argument.kind is str else None


def _give(argument: Argument, found: OptionSetting) -> None:
    value = truth(found.source, found.value) if argument.kind is bool else Default(found.value)
    argument.set_value(value, cast=False)


def _said(argument: Argument, found: OptionSetting) -> str:
    option = f"--{_flag(argument)}"
    return visible(f"{found.source} gives {option if argument.kind is bool else f'{option} {found.value}'}.")


def _flag(argument: Argument) -> str:
    return str(argument.names[0]).strip("_").replace("_", "-")


def _refuse_unknown(environment: Mapping[str, str], known: Iterable[ParserContext]) -> None:
    names = {ROOTLESS}
    for context in known:
        for argument in context.args.values():
            names |= {variable(_flag(argument)), variable(_flag(argument), str(context.name))}
    for name in environment:
        if name not in names:
            raise TestbedError(
                f"the environment variable {visible(name)} is no option of a task.",
                _meant(name, names) + f"`invoke TASK --help` lists the options: {PREFIX}OPTION, {PREFIX}TASK_OPTION.",
            )


def _table_above(folder: Path) -> dict[str, OptionSetting]:
    """Return the settings of the nearest pyproject.toml that has our table."""
    for above in (folder, *folder.parents):
        path = above / "pyproject.toml"
        try:
            text = path.read_bytes() if path.is_file() else b""
        except OSError as error:
            raise TestbedError(f"{path} cannot be read: {error.strerror}.", "Let this user read it.") from error
        if TABLE.encode() not in text:
            continue
        try:
            tools = tomllib.loads(text.decode()).get("tool", {})
        except ValueError as error:
            raise TestbedError(f"{path} cannot be read: {visible(str(error))}.", "Correct its TOML.") from error
        if isinstance(tools, dict) and TABLE in tools:
            return _settings(path, tools[TABLE])
    return {}


def _settings(path: Path, table: Any) -> dict[str, OptionSetting]:
    """Return the settings of our table; raises TestbedError for a key or a value that it cannot have."""
    if not isinstance(table, dict):
        raise TestbedError(f"{path}: tool.{TABLE} is no table.", _WHERE)
    thresholds = table.get(THRESHOLDS, {})
    if not isinstance(thresholds, dict):
        raise TestbedError(f"{path}: {THRESHOLDS} is no table.", f"Write {THRESHOLDS} = {{ coverage = 90 }}.")
    _refuse_keys(path, table, (*_KEYS, THRESHOLDS))
    _refuse_keys(path, thresholds, ("coverage", "mutate"))
    found = {key: _text(path, key, table[key]) for key in _KEYS if key in table}
    shares = {f"{THRESHOLDS}.{task}": _share(path, task, share) for task, share in thresholds.items()}
    return {key: OptionSetting(value, _short(path)) for key, value in (found | shares).items()}


def _refuse_keys(path: Path, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            remedy = _meant(key, known) + f"There are {', '.join(known)}."
            raise TestbedError(f"{path}: [tool.{TABLE}] has no key {visible(key)}.", remedy)


def _text(path: Path, key: str, value: Any) -> str:
    """Return the text of a setting; several files are joined by commas, and found from the folder of pyproject.toml."""
    parts = value if isinstance(value, list) and key in ("host", "rules") else [value]
    if not parts or not all(isinstance(part, str) and part.strip() for part in parts):
        raise TestbedError(f"{path}: {key} is no text.", _WHERE)
    if key not in _FILES:
        return str(value)
    each: Callable[[str], str] = lambda part: os.path.relpath(path.parent / part)  # noqa: E731
    return ",".join(each(name) for part in parts for name in part.split(","))


def _share(path: Path, task: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TestbedError(f"{path}: {THRESHOLDS}.{task} is no number.", "Give a number from 0 to 100.")
    return f"{value:g}"


def _short(path: Path) -> str:
    return os.path.relpath(path)


def _meant(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), 1)
    return f"Did you mean {close[0]}? " if close else ""
