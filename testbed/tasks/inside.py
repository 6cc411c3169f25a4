"""invoke shell, exec: programs in a node of a bed that is up."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from testbed.errors import TestbedError
from testbed.tasks.console import console, in_words
from testbed.tasks.options import DEFAULT_NAME

_HELP = {"node": "the node: host, client, gateway, internet, or a container's name", "name": "name of the bed"}


@task(positional=["node"], help=_HELP)
@in_words
def shell(_: Context, node: str, name: str = DEFAULT_NAME) -> None:
    """Open a shell in a node of a bed that is up: its network, and everything else as it is. `exit` leaves it.

    Of a bed that an ordinary user has made, the shell is root over the bed's networks, and nothing else.
    """
    if not sys.stdin.isatty():
        raise TestbedError("a shell needs a terminal.", "Run one program with `invoke exec NODE -- PROGRAM ...`.")
    program = os.environ.get("SHELL", "/bin/sh")
    console(stderr=True).print(f"{node} of the bed {name}; exit leaves it.", soft_wrap=True)
    _run(name, node, [program])


@task(name="exec", positional=["node"], help=_HELP)
@in_words
def exec_(context: Context, node: str, name: str = DEFAULT_NAME) -> None:
    """Run a program in a node of a bed that is up: `invoke exec client -- curl http://192.168.66.100`.

    The exit code is the program's; 2 where it cannot be run.
    """
    argv = shlex.split(context.remainder)
    if not argv:
        raise TestbedError("exec needs a program.", f"Write it behind two dashes: `invoke exec {node} -- ip address`.")
    _run(name, node, argv)


def _run(name: str, node: str, argv: list[str]) -> None:
    """Become that program, in the network of a node; raises TestbedError for a node or a program that is not there."""
    from testbed import named
    from testbed.kernel import programs, syscalls

    record = named.require(name)
    if node not in record.namespaces:
        raise TestbedError(f"the bed {name} has no node {node}.", f"It has {', '.join(record.namespaces)}.")
    program = argv[0] if "/" in argv[0] else programs.find(argv[0])
    if program is None or not Path(program).is_file() or not os.access(program, os.X_OK):
        raise TestbedError(f"there is no program {argv[0]}.", "Install it, or give its path.")
    inside = os.open(record.path(node), os.O_RDONLY | os.O_CLOEXEC)
    syscalls.enter_network(inside)
    sys.stdout.flush()
    os.execv(program, argv)
