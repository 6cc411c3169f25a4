"""Network namespaces: each has a thread that lives in it and a file descriptor that holds it.

A namespace without a name ends with the process that holds it, even if that process crashes. The thread of a namespace
does all its netlink. A synchronous pyroute2 object opens a new socket for every thread that uses it, in the namespace
of that thread. Used from another thread, it would silently configure the wrong namespace.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, ParamSpec, Protocol, TypeVar

from pyroute2 import IPRoute

from testbed.errors import KernelRefused, MissingRequirement
from testbed.kernel import named_namespaces, programs, syscalls, user_namespace


class Closeable(Protocol):
    def close(self) -> object: ...


P = ParamSpec("P")
T = TypeVar("T")

_OWN = "/proc/thread-self/ns/net"  # /proc/self would be the main thread's


class Namespace:
    """A network namespace with a thread in it; make it with `create` or `open`, and close it."""

    def __init__(self, name: str, enter: Callable[[], None]) -> None:
        self.name = name
        self._inside = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"netns-{name}")
        self._route_socket: IPRoute | None = None
        self._entered: Future[int] = self._inside.submit(_enter, enter)
        self._closed = False

    @classmethod
    def create(cls, name: str) -> Namespace:
        """Return a new, empty namespace without a name; its loopback is down."""
        return cls(name, syscalls.unshare_network)

    @classmethod
    def open(cls, name: str, path: Path) -> Namespace:
        """Return the namespace that is pinned at a path, as `ip netns` pins its own."""

        def enter() -> None:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                syscalls.enter_network(fd)
            finally:
                os.close(fd)

        return cls(name, enter)

    @property
    def fd(self) -> int:
        """A descriptor that holds the namespace; raises MissingRequirement or KernelRefused if it cannot be entered."""
        try:
            return self._entered.result()
        except PermissionError as error:
            raise not_root() from error
        except OSError as error:
            raise KernelRefused(f"the network namespace {self.name} cannot be entered: {error.strerror}.") from error

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode, which distinguish this namespace from every other existing one."""
        found = os.fstat(self.fd)
        return found.st_dev, found.st_ino

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in this namespace's thread and return its result.

        Sockets that it opens belong to this namespace, from whatever thread they are used later. Raises KernelRefused
        if the namespace is closed.
        """
        if self._closed:
            raise KernelRefused(f"the namespace {self.name} is closed.", "Use a bed inside of its `with` block.")
        assert self.fd >= 0
        return self._inside.submit(function, *args, **kwargs).result()

    def netlink(self, action: Callable[[IPRoute], T]) -> T:
        """Call `action` with this namespace's rtnetlink socket and return its result."""

        def with_socket() -> T:
            if self._route_socket is None:
                self._route_socket = IPRoute()
            return action(self._route_socket)

        return self.run(with_socket)

    def start(self, argv: Sequence[str], stdin: str = "", **popen: Any) -> subprocess.Popen[str]:
        """Start a program in this namespace; raises MissingRequirement when it is not installed."""
        program = programs.find(argv[0])
        if program is None:
            raise MissingRequirement(f"the program {argv[0]} is not installed.", DOCTOR)
        with TemporaryFile("w+") as given:  # a full pipe would block the writer
            given.write(stdin)
            given.seek(0)
            output = subprocess.PIPE
            return self.run(
                lambda: subprocess.Popen(
                    [program, *argv[1:]], stdin=given, stdout=output, stderr=output, text=True, **popen
                )
            )

    def command(self, argv: Sequence[str], stdin: str = "", **popen: Any) -> subprocess.CompletedProcess[str]:
        """Run a program in this namespace to its end; raises MissingRequirement when it is not installed."""
        with self.start(argv, stdin, **popen) as process:
            stdout, stderr = process.communicate()
        return subprocess.CompletedProcess(argv, process.returncode, stdout, stderr)

    def pin(self, path: Path) -> None:
        """Give the namespace a name in the file system, so that it outlives this process (as `ip netns add` does).

        Raises FileExistsError when the name is taken.
        """
        self.run(named_namespaces.pin, path, _OWN)

    def close(self) -> None:
        """Release the namespace; the kernel deletes it when no other process or name holds it.

        Returns at once. The namespace's thread does the rest, and the process does not end before that.
        """
        if self._closed:
            return
        self._closed = True
        if self._route_socket is not None:
            self._inside.submit(self._route_socket.close)
        self._inside.submit(self._let_go)
        self._inside.shutdown(wait=False)

    def close_in_time(self, opened: Closeable) -> None:
        """Close a socket of this namespace without waiting.

        Closing a packet socket waits until every processor has passed through a quiescent state (packet_release,
        net/packet/af_packet.c), 10 ms and more.
        """
        self._inside.submit(opened.close)

    def _let_go(self) -> None:
        if self._entered.exception() is None:
            os.close(self._entered.result())


DOCTOR = "Run `invoke doctor --fix`."


AS_ROOT = (
    "Run it as root, for instance with sudo; in a container, one that runs with --cap-add NET_ADMIN --cap-add SYS_ADMIN"
    " (docs/rootless.md), or with --privileged."
)


def not_root() -> MissingRequirement:
    return MissingRequirement("network namespaces need root or a user namespace.", rootless_remedy())


def rootless_remedy() -> str:
    """Return what keeps an ordinary user from a user namespace, and what changes that."""
    lacking = user_namespace.why_not() or (
        "this process has several threads, with which none can be entered (pytest: --testbed-rootless)"
    )
    return f"A user namespace would do: {lacking}. {AS_ROOT}"


def _enter(enter: Callable[[], None]) -> int:
    enter()
    return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)


@lru_cache(maxsize=1)
def _empty() -> Namespace:
    return Namespace.create("quarantine")


@contextmanager
def quarantine() -> Iterator[None]:
    """Keep the calling thread in an empty network namespace while the block runs.

    Threads and programs that it starts are there too. So no fault of the testbed or of a test reaches the machine's own
    network. In a user namespace that is not in it: the process has no power over the machine's network, and could not
    return there.
    """
    before = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    if not syscalls.owner_is_known(before):
        os.close(before)
        yield
        return
    entered_by = threading.get_ident()
    syscalls.enter_network(_empty().fd)
    try:
        yield
    finally:
        assert threading.get_ident() == entered_by, "a thread can only leave a quarantine that it entered"
        syscalls.enter_network(before)
        os.close(before)
