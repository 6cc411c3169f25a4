"""A user namespace of the testbed's own, in which an ordinary user may make networks.

In it this process is root over new networks and mounts, and an ordinary user over everything else. A kernel lets only
a process with one thread enter, so it is entered before anything else. `/run` is a mount of its own there, with what
the machine's has: the names of networks, the records of beds and iptables' lock are not the machine's.

Named beds are in the user namespace of a process that holds it (`hold`). Commands of the same user join it.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import pwd
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from testbed.kernel import capabilities, syscalls
from testbed.kernel.waiting import any_readable

_HOLDER = "docker-host-testbed-holds-beds"
_RECORDS = "/run/docker-host-testbed/*.json"  # of beds
_HOLDING = f"""
import glob, signal, sys
sys.stdin.read()  # until the command that made the namespace has ended, in whatever way
if glob.glob({_RECORDS!r}):
    signal.pause()
"""
_OWN = ("netns", "docker-host-testbed", "docker-host-testbed.locks", "xtables.lock")  # of /run, not the machine's
_NEW = syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS
_entered: list[bool] = []  # whether this process has entered one
_holders: list[int] = []  # descriptors of the process that holds it


def needed() -> bool:
    """Return whether this process is an ordinary user."""
    return os.geteuid() != 0


def enter(network: bool = True, keep: bool = False) -> None:
    """Join the user namespace of this user's beds; without one make a new one, and with `keep` hold it for beds.

    Without `network` the process stays in the network it is in. Raises OSError where the kernel forbids it.
    """
    _name_user()
    with _alone() if keep else ExitStack():
        if (pid := holder()) is not None:
            _join(pid, network)
            _holders.append(os.pidfd_open(pid))
        else:
            _make(network)
        _entered.append(True)
        capabilities.may.cache_clear()
        if keep:
            hold()


def entered() -> bool:
    """Return whether this process has entered a user namespace."""
    return bool(_entered)


def hold() -> None:
    """Have a process hold the user namespace that this process has entered, for named beds."""
    if _entered and not _holders:
        _holders.append(os.pidfd_open(_start_holder()))


def holder_fd() -> int | None:
    """Return the descriptor of the process that holds this process's user namespace, None if no process does."""
    return _holders[0] if _holders else None


def release() -> None:
    """End the process that holds the namespace if no bed is left in it."""
    while _holders and not glob.glob(_RECORDS):
        held = _holders.pop()
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(held, signal.SIGTERM)
            any_readable([held], None)
        os.close(held)


def holder() -> int | None:
    """Return the process of this user that holds the namespace of its beds."""
    for entry in sorted(Path("/proc").iterdir(), key=lambda one: one.name):
        with suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == os.geteuid():
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                if _HOLDER.encode() in arguments:
                    return int(entry.name)
    return None


def why_not() -> str:
    """Return why this user can have no user namespace, and the line that changes it; an empty text if it can."""
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads matter not: the child only calls the kernel
        child = os.fork()
    if child == 0:
        number = 0
        try:
            _make(network=True)
        except OSError as error:
            number = error.errno or errno.EPERM
        finally:
            os.write(write_end, str(number).encode())
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as answered:
        number = int(answered.read() or errno.EPERM)
    os.waitpid(child, 0)
    return _reason(number) if number else ""


def _reason(number: int) -> str:
    """Return the switch that forbids a user namespace, and the line that needs root."""
    switches = (
        ("user/max_user_namespaces", "0", "user.max_user_namespaces", "15000"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns", "0"),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone", "1"),
    )
    for path, forbids, name, allows in switches:
        if _sysctl(path) == forbids:
            return f"{name} is {forbids}; as root: sysctl -w {name}={allows}"
    if number == errno.ENOSPC:
        return "all user namespaces that user.max_user_namespaces allows exist; as root: raise it with sysctl -w"
    if number == errno.EINVAL:
        return "the kernel was built without user namespaces (CONFIG_USER_NS)"
    if _seccomp():
        return "seccomp forbids it, as in a container: start that with --security-opt seccomp=unconfined"
    return f"the kernel refuses it ({os.strerror(number)}), as it does in a chroot or for a user without a mapping"


def _sysctl(path: str) -> str:
    with suppress(OSError):
        return Path("/proc/sys", path).read_text().strip()
    return ""


def _seccomp() -> bool:
    status = Path("/proc/self/status").read_text()
    return status.partition("Seccomp:")[2].split()[0] == "2"


def _name_user() -> None:
    """Keep the user's name for programs that would ask for that of user 0."""
    with suppress(KeyError):
        os.environ.setdefault("LOGNAME", pwd.getpwuid(os.geteuid()).pw_name)


def _make(network: bool) -> None:
    user, group = os.geteuid(), os.getegid()
    syscalls.unshare(_NEW | (syscalls.CLONE_NEWNET if network else 0))
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path("/proc/self", name).write_text(text)
    _own_run()


def _own_run() -> None:
    """Mount a /run that has what the machine's has, but for what is the testbed's."""
    before = os.open("/run", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    entries = sorted(os.scandir(before), key=lambda entry: entry.name)
    syscalls.mount("tmpfs", "/run", 0, "tmpfs", "mode=755")
    for entry in entries:
        if entry.name not in _OWN:
            with suppress(OSError):  # what this user cannot see is not there
                _show(before, entry)
    os.close(before)


def _show(before: int, entry: os.DirEntry[str]) -> None:
    path = Path("/run", entry.name)
    if entry.is_symlink():
        path.symlink_to(os.readlink(entry.name, dir_fd=before))
        return
    if entry.is_dir():
        path.mkdir()
    else:
        path.touch()
    syscalls.mount(f"/proc/self/fd/{before}/{entry.name}", str(path), syscalls.MS_BIND | syscalls.MS_REC)


def _join(pid: int, network: bool) -> None:
    """Enter the namespaces of a process; the working directory stays."""
    folder = Path.cwd()
    kinds = ["user", "mnt", *(["net"] if network else [])]
    opened = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds]
    for fd in opened:
        syscalls.enter_any(fd)
        os.close(fd)
    os.chdir(folder)


def _start_holder() -> int:
    """Start the process that holds this namespace: it ends with this process, unless a bed has been made by then."""
    program = [sys.executable, "-ISc", _HOLDING, _HOLDER]
    quiet = subprocess.DEVNULL
    started = subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, cwd="/", start_new_session=True
    )
    started.returncode = 0  # it outlives this process, which does not wait for it
    assert started.stdin is not None
    os.set_inheritable(os.dup(started.stdin.fileno()), False)  # open until this process ends
    return started.pid


@contextmanager
def _alone() -> Iterator[None]:
    """Keep two commands of this user from making a namespace each."""
    with ExitStack() as opened:
        with suppress(OSError, RuntimeError):
            home = os.open(Path.home(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, home)
            fcntl.flock(home, fcntl.LOCK_EX)
        yield
