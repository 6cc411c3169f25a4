"""invoke doctor: what is missing on this machine, and what installs it."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from testbed.errors import KernelRefused, MissingRequirement
from testbed.tasks import rootless
from testbed.tasks.called import as_called
from testbed.tasks.console import as_json, console, in_words
from testbed.tasks.exit_codes import FINDING

if TYPE_CHECKING:
    from testbed.kernel.requirements import Requirement


@task(help={"fix": "install what is missing with the system's package manager", "json": "print it for programs"})
@in_words
def doctor(_: Context, fix: bool = False, json: bool = False) -> None:
    """Say what this machine lacks for a bed, and the command that provides it.

    Exit code 0 when nothing is missing, 1 when something is, 2 when it could not be installed.
    """
    if fix:
        root = os.geteuid() == 0  # an ordinary user is told of conveniences, and needs no root for them
        _install([r for r in _all() if not r.met and r.fix and (root or r.needed)])
    rootless.prepare("")
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

    if lacking and os.geteuid() != 0:
        raise MissingRequirement("programs are installed by root.", f"Run as root: {_line(lacking)}")
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


def _line(lacking: list[Requirement]) -> str:
    """Return the line that installs what is missing."""
    return " && ".join(dict.fromkeys(shlex.join(part) for requirement in lacking for part in requirement.fix))


def _print(found: list[Requirement]) -> None:
    from testbed.kernel import user_namespace
    from testbed.kernel.requirements import iptables_version
    from testbed.kernel.xtables import BACKENDS
    from testbed.report.doctor import table
    from testbed.report.terminal import Text

    console().print(table(found), crop=False)
    versions = [f"{name}: {version}" for name in BACKENDS if (version := iptables_version(name))]
    console().print(f"Linux {os.uname().release}, {', '.join(versions) or 'no iptables'}")
    for requirement in found:
        if not requirement.met and requirement.remedy:
            console().print(f"{requirement.name}: {requirement.remedy}", soft_wrap=True)
    lacking = [requirement for requirement in found if not requirement.met and requirement.fix]
    if lacking and user_namespace.entered():
        console().print(Text.assemble("As root: ", (_line(lacking), "bold")), soft_wrap=True)
    elif lacking:
        console().print(Text.assemble((as_called("invoke doctor --fix"), "bold"), " runs these commands."))
