"""invoke conformance: the model beside a real engine."""

from __future__ import annotations

import sys

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from testbed.errors import MissingRequirement, TestbedError
from testbed.tasks.console import as_json, console, in_words
from testbed.tasks.exit_codes import FINDING


@task(
    help={
        "dockerd": "engine to compare with: the path of its dockerd (default: the one that is installed)",
        "backend": "how the engine's iptables is to speak to the kernel: nft or legacy (default: as the machine's)",
        "only": "build the hosts with this in their name, not all",
        "twin": "compare the engine's hosts with the twins of their captures, in place of the model's hosts",
        "json": "print what was found for programs",
    }
)
@in_words
def conformance(
    _: Context, dockerd: str = "", backend: str = "", only: str = "", twin: bool = False, json: bool = False
) -> None:
    """Build known hosts on a real engine, and compare what it sets up with what the model says, line by line.

    The engine runs in namespaces of its own, of which nothing is left. Exit code 0 when all is equal, 1 when something
    differs, 2 when it could not run.
    """
    from rich.markup import escape
    from rich.progress import track

    from testbed.conformance.hosts import known
    from testbed.conformance.programs import find
    from testbed.conformance.run import examine, examine_twin, version_of
    from testbed.docker.engines import engine as engine_of
    from testbed.kernel import user_namespace
    from testbed.kernel.namespace import quarantine
    from testbed.kernel.requirements import require
    from testbed.kernel.xtables import backend as backend_of
    from testbed.report import conformance as tables

    if user_namespace.entered():
        raise MissingRequirement(
            "a real engine needs root: its control groups are the machine's.", "Run it as root, without --rootless."
        )
    wanted = {name: host for name, host in known().items() if only in name}
    if not wanted:
        raise TestbedError(f"no known host has {only!r} in its name.", f"There are: {', '.join(known())}.")
    programs = find(dockerd, backend_of(backend).name if backend else "")
    require(programs.backend)
    with quarantine():
        version = version_of(programs)
        generation = engine_of(version).name
        shown = track(
            wanted.items(),
            escape(f"engine {version}"),  # a progress bar reads markup
            console=console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        compared_with = examine_twin if twin else examine
        found = [compared_with(name, host, programs, version) for name, host in shown]
    compared = [result for result in found if not result.left_out]
    conforming = [result for result in compared if result.conforms]
    if json:
        about = {"engine": version, "dockerd": programs.dockerd, "generation": generation, "backend": programs.backend}
        as_json({**about, "hosts": [result.as_dict() for result in found]})
    else:
        out = console()
        spoken = backend_of(programs.backend).program
        out.print(f"Engine {version} ({programs.dockerd}, {spoken}) and the model's generation {generation}")
        out.print(tables.table(found), crop=False)
        for line in tables.remarks(found):
            out.print(line, soft_wrap=True)
        out.print(f"{len(conforming)} of {len(compared)} hosts are equal.")
    if len(conforming) < len(compared):
        raise Exit(code=FINDING)
