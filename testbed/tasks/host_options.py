"""The options that describe a Docker host, in the same words for every task that takes `--host`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.tasks import task

from testbed.errors import TestbedError
from testbed.tasks.console import in_words
from testbed.tasks.options import HOST_HELP

if TYPE_CHECKING:
    from testbed.described_host import DescribedHost

_HELP = {
    "host": HOST_HELP,
    "project-name": "the project's name, of which names of networks and containers are made (default:"
    " COMPOSE_PROJECT_NAME, the file's `name`, or the folder's name)",
    "daemon": "the engine's configuration (daemon.json) on the host of --host",
    "env-file": "file with variables for the compose file, or several with commas between (default: COMPOSE_ENV_FILES,"
    " or .env beside the compose file)",
}
_FIRST = ("host", "engine", "rules", "name", "project_name", "daemon", "env_file")  # they get their first letters
_OWN = ("project_name", "daemon", "env_file")


@dataclass(frozen=True)
class HostOptions:
    """What `--host` and the options beside it say; the files are read once."""

    host: str
    project_name: str | None = None
    daemon: str | None = None
    env_file: str | None = None

    @cached_property
    def described(self) -> DescribedHost:
        """The host that the files describe; raises as described_host.described does."""
        from testbed import described_host

        return described_host.described(self.host, None, self.project_name, self.daemon, self.env_file)

    @property
    def short(self) -> str:
        """What the host's files are called, or its folder."""
        return ", ".join(Path(part).name or Path(part).resolve().name for part in self.host.split(","))


def host_options(host: str | None, **beside: str | None) -> HostOptions | None:
    """Return what the options say, None where there is none.

    Raises TestbedError for an empty one, and for options about a host that is not named.
    """
    require_values(host=host, **beside)
    if host is not None:
        return HostOptions(host, **beside)
    alone = [name.replace("_", "-") for name, value in beside.items() if value is not None]
    if alone:
        raise TestbedError(
            f"--{alone[0]} is about the host of --host, which is not given.",
            "Add --host FILE, or --host . for this folder's compose file.",
        )
    return None


def require_values(**options: str | None) -> None:
    """Raise TestbedError for an option that was given an empty value: that is no default."""
    for option, given in options.items():
        if given is not None and not given.strip():
            name = option.replace("_", "-")
            raise TestbedError(f"--{name} is empty.", f"Give --{name} a value, or leave it out.")


def host_task(
    help: dict[str, str],  # noqa: A002 - as invoke calls it
    positional: Sequence[str] | None = None,
    iterable: Sequence[str] | None = None,
) -> Callable[[Callable[..., None]], Any]:
    """Make a task of a function whose parameter `host` is HostOptions or None; the task has the options of both.

    Errors end it in words, as `in_words` does.
    """

    def made(body: Callable[..., None]) -> Any:
        words = {**help, **_HELP, "host": help.get("host", HOST_HELP)}
        return task(positional=positional, iterable=iterable, help=words)(in_words(_with_options(body)))

    return made


def _with_options(body: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(body)
    def wrapped(context: object, *args: Any, **given: Any) -> None:
        beside = {name: given.pop(name, None) for name in _OWN}
        body(context, *args, host=host_options(given.pop("host", None), **beside), **given)

    wrapped.__signature__ = _signature(body)  # type: ignore[attr-defined]
    return wrapped


def _signature(body: Callable[..., None]) -> inspect.Signature:
    """The parameters that invoke makes options of; those of all such tasks come first, and get the same letters."""
    signature = inspect.signature(body)
    context, *own = signature.parameters.values()
    also = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in _OWN]
    options = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + also
    options.sort(key=lambda one: _FIRST.index(one.name) if one.name in _FIRST else len(_FIRST))
    return signature.replace(parameters=[context, *options])
