"""Run an engine's programs in processes, mounts and control groups of their own.

This program runs in the network namespace of the host, with a plan in JSON: `files` to write, `links` to make, the
search `path`, and `steps` to start one after the other. A step has a `name`, its arguments (`argv`) and the `socket`
that it will listen on.
The program prints `ready` and the process id of the first process inside when all listen, else an error. It ends when
its standard input is closed, hence with the process that started it, whatever ends that process.

The end of the first process inside ends all others, and removes mounts and network namespaces. Control groups would
remain, so the process that waits outside removes them. The program imports nothing of the testbed, to start fast.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_CLONE_NEWNS, _CLONE_NEWCGROUP, _CLONE_NEWPID = 0x20000, 0x02000000, 0x20000000  # include/uapi/linux/sched.h
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 0x20, 0x1000, 0x4000, 0x40000  # linux/mount.h
_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
_DEADLINE = 60.0  # seconds, for a program to listen, and for the kernel to release a control group
_LOOK_AGAIN = 0.005  # seconds
_GROUPS = "/run/groups"
_NOT_SHARED = ("docker", "containerd")  # in /etc: the machine's own engine, and the folder of 20.10's key

_libc = ctypes.CDLL(None, use_errno=True)


def main(plan: dict[str, Any]) -> None:
    """Keep the enclosure until its first process has ended, then remove its control groups."""
    for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):  # it ends with its standard input
        signal.signal(ignored, signal.SIG_IGN)
    _unshare(_CLONE_NEWNS | _CLONE_NEWPID)
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", "/run", "tmpfs")
    group = _new_group()
    first = os.fork()
    if first == 0:
        _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
        os._exit(_said(_inside, plan, group))
    os.waitpid(first, 0)
    _remove(group)


def _inside(plan: dict[str, Any], group: Path) -> None:
    """Run as the first process inside: prepare the enclosure, start the programs, wait."""
    for heard in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(heard, signal.SIG_DFL)
    known_outside_as = os.readlink("/proc/self")  # this /proc is still the one from outside
    (group / "cgroup.procs").write_text("0")
    _unshare(_CLONE_NEWCGROUP)
    _furnish()
    for path, text in plan["files"].items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    for path, target in plan["links"].items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).symlink_to(target)
    for step in plan["steps"]:
        _start(step, plan["path"])
    _say(f"ready {known_outside_as}")
    sys.stdin.read()


def _furnish() -> None:
    """Mount files and all but the own network's sysctls read-only, so that an engine cannot change the machine.

    Control groups are always of version 2, which every kernel has beside version 1, so that an engine works in one
    group that can be removed. Without securityfs under /sys no engine finds AppArmor, whose profiles belong to the
    machine.
    """
    _mount("proc", "/proc", "proc")
    for entry in os.listdir("/proc/sys"):
        if entry != "net":
            _mount(f"/proc/sys/{entry}", f"/proc/sys/{entry}", "", _MS_BIND)
            _read_only(f"/proc/sys/{entry}")
    _mount("sysfs", "/sys", "sysfs")
    _mount("cgroup2", "/sys/fs/cgroup", "cgroup2")
    inner = Path("/sys/fs/cgroup/engine")  # a group whose subgroups have controllers may not contain processes itself
    inner.mkdir()
    (inner / "cgroup.procs").write_text("0")
    _own_etc()
    _read_only("/")


def _own_etc() -> None:
    """Mount the machine's /etc without the engines' files."""
    os.mkdir("/run/etc")
    _mount("/etc", "/run/etc", "", _MS_BIND | _MS_REC)
    _mount("tmpfs", "/etc", "tmpfs")
    for entry in os.scandir("/run/etc"):
        if entry.name not in _NOT_SHARED:
            os.symlink(os.readlink(entry.path) if entry.is_symlink() else entry.path, f"/etc/{entry.name}")
    _read_only("/run/etc")


def _start(step: dict[str, Any], path: str) -> None:
    """Start a program and wait until it listens."""
    log = Path("/run", f"{step['name']}.log")
    with log.open("w") as written:
        process = subprocess.Popen(
            step["argv"],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            env={"PATH": path, "TMPDIR": "/run", "HOME": "/run"},
        )
    until = time.monotonic() + _DEADLINE
    ended = os.pidfd_open(process.pid)
    while not _listens(step["socket"]):
        happened = select.select([ended, sys.stdin], [], [], _LOOK_AGAIN)[0]
        if ended in happened:
            last_words = log.read_text().splitlines()[-1:]
            raise RuntimeError(
                f"{step['name']} has ended{f': {last_words[0]}' if last_words else ' and printed nothing.'}"
            )
        if happened or time.monotonic() > until:
            raise RuntimeError(f"{step['name']} does not listen, and is not waited for any longer.")
    os.close(ended)


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        return asking.connect_ex(path) == 0


def _new_group() -> Path:
    """Make a control group below our own, so that it ends with our group; below the root if our group is hidden."""
    os.mkdir(_GROUPS)
    _mount("cgroup2", _GROUPS, "cgroup2")
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::")), "")
    return Path(tempfile.mkdtemp(prefix="docker-host-testbed-", dir=Path(_GROUPS, "" if ".." in own else own)))


def _remove(group: Path) -> None:
    """Remove a control group and those below it, whose processes are dead."""
    until = time.monotonic() + _DEADLINE
    for folder, _, _ in os.walk(group, topdown=False):
        while time.monotonic() < until and not _removed(folder):
            _wait_for_an_event(folder)


def _removed(folder: str) -> bool:
    try:
        os.rmdir(folder)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _wait_for_an_event(folder: str) -> None:
    """Wait until the kernel reports a change of a group's state: it releases dead processes with a delay."""
    with Path(folder, "cgroup.events").open() as events:
        events.read()
        changes = select.poll()
        changes.register(events, select.POLLPRI)
        changes.poll(int(_LOOK_AGAIN * 1000))


def _mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    words = (word.encode() for word in (source, target, kind))
    _checked(_libc.mount(*words, ctypes.c_ulong(flags), None), f"{source} on {target}")


def _read_only(path: str) -> None:
    """Make a path read-only, only in this mount."""
    _mount("none", path, "", _MS_BIND | _MS_REMOUNT | _MS_RDONLY)


def _unshare(flags: int) -> None:
    _checked(_libc.unshare(flags), "namespaces")


def _checked(result: int, what: str = "") -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _said(step: Any, *arguments: Any) -> int:
    """Return the exit code of a step; print its error in a line."""
    try:
        step(*arguments)
    except Exception as error:
        _say(str(error))
        return 1
    return 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the output that the caller reads


if __name__ == "__main__":
    sys.exit(_said(main, json.loads(sys.argv[1])))
