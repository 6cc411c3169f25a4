"""Programs of our own that run in a bed's namespaces: the HTTP server, the userland proxy.

Each is told to stay by a line on its standard input, and ends by itself when that is closed before: with the process
that started it, however that ends.
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
from testbed.kernel.namespace import Namespace

_STAY = "stay\n"


def start_own(
    namespace: Namespace, program: Traversable, arguments: Sequence[str], fds: Sequence[int] = ()
) -> subprocess.Popen[str]:
    """Start a Python program of ours in a namespace, in a session of its own; its input and output are ours."""
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
    """One such program, running."""

    def __init__(self, namespace: Namespace, program: str, arguments: Sequence[str], fds: Sequence[int] = ()) -> None:
        self._name = program
        self._process = start_own(namespace, files("testbed.traffic").joinpath(program), arguments, fds)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Return when it says so; KernelRefused when it ends instead."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise KernelRefused(f"{self._name} has ended.", "Is a port that the host publishes in use on it?")

    def stay(self) -> None:
        """Let it go on without us."""
        stdin: IO[str] | None = self._process.stdin
        assert stdin is not None
        assert self._process.stdout is not None
        stdin.write(_STAY)
        stdin.close()
        self._process.stdout.close()
        self._process.returncode = 0

    def close(self) -> None:
        """End it, and wait for its end."""
        self._process.kill()
        self._process.communicate()


def userland_proxy(namespace: Namespace, host: DockerHost) -> Companion:
    """The proxy for every published TCP and UDP port of a host, listening."""
    proxy = Companion(namespace, "relay.py", list(_relays(host)))
    try:
        proxy.wait_until_ready()
    except BaseException:
        proxy.close()
        raise
    return proxy


def listeners(host: DockerHost) -> Iterator[tuple[str, str, int]]:
    """Return protocol, address and port of each socket of the proxy."""
    for relay in _relays(host):
        protocol, address, port, *_ = relay.split("/")
        yield protocol, address, int(port)


def _relays(host: DockerHost) -> Iterator[str]:
    """What listens where; on an address of IPv6 also for a container that has IPv4 only."""
    for container, port in host.published():
        to = container.gateway
        if port.protocol == "sctp" or to is None:
            continue
        versions = host.versions_of(container, port)
        if 4 in versions:
            yield f"{port.protocol}/{port.address or '0.0.0.0'}/{port.host}/{to.address}/{port.container}"
        if 6 in versions:
            yield f"{port.protocol}/{port.address or '::'}/{port.host}/{to.address6 or to.address}/{port.container}"
