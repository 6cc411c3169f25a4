"""The testbed's own programs in a bed's namespaces: the HTTP server, the userland proxy.

A line on its standard input lets a program stay. Otherwise it ends when its standard input is closed. So it ends with
the process that started it, for whatever reason that ends. In a user namespace that a process holds for named beds it
stays until that process ends: the line names its descriptor.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import IO

from testbed.docker.host import DockerHost
from testbed.errors import KernelRefused
from testbed.kernel import user_namespace
from testbed.kernel.namespace import Namespace

_STAY = "stay"


def start_own(
    namespace: Namespace, program: Traversable, arguments: Sequence[str], fds: Sequence[int] = ()
) -> subprocess.Popen[str]:
    """Start one of the testbed's Python programs in a namespace, in its own session, with piped input and output."""
    start = partial(
        subprocess.Popen[str],
        [sys.executable, "-I", str(program), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd="/",
        start_new_session=True,
        pass_fds=fds,
    )
    return namespace.run(start)


class Companion:
    """A running program of this kind."""

    def __init__(self, namespace: Namespace, program: str, arguments: Sequence[str], fds: Sequence[int] = ()) -> None:
        self._name = program
        self._holder = user_namespace.holder_fd()
        kept = [*fds, self._holder] if self._holder is not None else fds
        self._process = start_own(namespace, files("testbed.traffic").joinpath(program), arguments, kept)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Return when the program is ready; raises KernelRefused if it ends instead."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise KernelRefused(f"{self._name} has ended.", "Is a port that the host publishes in use on it?")

    def stay(self) -> None:
        """Let the program outlive this process."""
        stdin: IO[str] | None = self._process.stdin
        assert stdin is not None
        assert self._process.stdout is not None
        stdin.write(f"{_STAY} {self._holder}\n" if self._holder is not None else f"{_STAY}\n")
        stdin.close()
        self._process.stdout.close()
        self._process.returncode = 0

    def close(self) -> None:
        """End the program and wait for its end."""
        self._process.kill()
        self._process.communicate()


def userland_proxy(namespace: Namespace, host: DockerHost) -> Companion:
    """Return a listening proxy for every published TCP and UDP port of a host."""
    proxy = Companion(namespace, "relay.py", list(_relays(host)))
    try:
        proxy.wait_until_ready()
    except BaseException:
        proxy.close()
        raise
    return proxy


def listeners(host: DockerHost) -> Iterator[tuple[str, str, int]]:
    """Yield protocol, address and port of each socket of the proxy."""
    for relay in _relays(host):
        protocol, address, port, *_ = relay.split("/")
        yield protocol, address, int(port)


def _relays(host: DockerHost) -> Iterator[str]:
    """Yield one argument for each listening socket; an IPv6 socket also serves containers with IPv4 only."""
    for container, port in host.published():
        to = container.gateway
        if port.protocol == "sctp" or to is None:
            continue
        versions = host.versions_of(container, port)
        if 4 in versions:
            yield f"{port.protocol}/{port.address or '0.0.0.0'}/{port.host}/{to.address}/{port.container}"
        if 6 in versions:
            six = container.gateway6
            target = six.address6 if six is not None else to.address
            yield f"{port.protocol}/{port.address or '::'}/{port.host}/{target}/{port.container}"
