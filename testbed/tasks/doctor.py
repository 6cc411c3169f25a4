"""invoke doctor: what is missing on this machine, and what installs it."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from testbed.errors import KernelRefused
from testbed.tasks.called import as_called
from testbed.tasks.console import FINDING, as_json, console, in_words

if TYPE_CHECKING:
    from testbed.kernel.requirements import Requirement


@task(help={"fix": "install what is missing with the system's package manager", "json": "print it for programs"})
@in_words
def doctor(_: Context, fix: bool = False, json: bool = False) -> None:
    """Say what this machine lacks for a bed, and the command that provides it.

    Exit code 0 when nothing is missing, 1 when something is, 2 when it could not be installed.
    """
    if fix:
        _install([requirement for requirement in _all() if not requirement.met and requirement.fix])
    found = _all()
    if json:
        as_json(
            [
                {"name": r.name, "met": r.met, "needed": r.needed, "why": r.why, "fix": [shlex.join(c) for c in r.fix]}
                for r in found
            ]
        )
    else:
        _print(found)
    if not all(requirement.met for requirement in found if requirement.needed):
        raise Exit(code=FINDING)


def _all() -> list[Requirement]:
    from testbed.kernel.requirements import conveniences, requirements

    return [*requirements(), *conveniences()]


def _install(lacking: list[Requirement]) -> None:
    from testbed.kernel.requirements import iptables_version
    from testbed.report.terminal import Text

    done: set[tuple[str, ...]] = set()
    for command in (command for requirement in lacking for command in requirement.fix):
        if command in done:
            continue
        done.add(command)
        console(stderr=True).print(Text(f"$ {shlex.join(command)}", "dim"), soft_wrap=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        try:
            finished = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise KernelRefused(
                f"{command[0]} is not installed.", "Install it with the system's package manager."
            ) from error
        if finished.returncode:
            last = (finished.stderr.strip() or finished.stdout.strip()).splitlines()[-1:]
            raise KernelRefused(f"`{shlex.join(command)}` failed: {' '.join(last)}", "Is this root, and online?")
    iptables_version.cache_clear()


def _print(found: list[Requirement]) -> None:
    from testbed.kernel.requirements import iptables_version
    from testbed.kernel.xtables import BACKENDS
    from testbed.report.doctor import table
    from testbed.report.terminal import Text

    console().print(table(found), crop=False)
    versions = [f"{name}: {version}" for name in BACKENDS if (version := iptables_version(name))]
    console().print(f"Linux {os.uname().release}, {', '.join(versions) or 'no iptables'}")
    if any(not requirement.met and requirement.fix for requirement in found):
        console().print(Text.assemble((as_called("invoke doctor --fix"), "bold"), " runs these commands."))
