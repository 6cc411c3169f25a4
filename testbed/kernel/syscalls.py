"""System calls that Python 3.11 does not offer; each raises OSError with the kernel's errno."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000  # include/uapi/linux/sched.h
MS_BIND = 0x1000  # include/uapi/linux/mount.h
MS_REC = 0x4000
MS_SHARED = 0x100000
MNT_DETACH = 2
NS_GET_USERNS = 0xB701  # include/uapi/linux/nsfs.h
# The new mount API, with the same numbers on every architecture; include/uapi/asm-generic/unistd.h
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_FSCONFIG_CMD_CREATE = 6

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, path: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def unshare_network() -> None:
    """Move the calling thread, and no other, into a new, empty network namespace."""
    _checked(_libc.unshare(CLONE_NEWNET))


def enter_network(fd: int) -> None:
    """Move the calling thread, and no other, into the network namespace of that file descriptor."""
    _checked(_libc.setns(fd, CLONE_NEWNET))


def unshare(kinds: int) -> None:
    """Move the process into new namespaces of these kinds; it has one thread."""
    _checked(_libc.unshare(kinds))


def enter_any(fd: int) -> None:
    """Move the calling thread into the namespace of that file descriptor, of whatever kind it is."""
    _checked(_libc.setns(fd, 0))


def owner_is_known(fd: int) -> bool:
    """Return whether a namespace belongs to this user namespace, or to one within it."""
    owner = _libc.ioctl(fd, NS_GET_USERNS)
    if owner >= 0:
        os.close(owner)
    return bool(owner >= 0)


def mount(source: str, target: str, flags: int, kind: str = "none", options: str = "") -> None:
    given = options.encode() if options else None
    _checked(_libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), given), target)


def unmount(target: str) -> None:
    _checked(_libc.umount2(target.encode(), MNT_DETACH), target)


def open_procfs() -> int:
    """Return the descriptor of a new procfs that is mounted nowhere; needs CAP_SYS_ADMIN."""
    context = _checked(_libc.syscall(_FSOPEN, b"proc", _FSOPEN_CLOEXEC))
    try:
        _checked(_libc.syscall(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0))
        return _checked(_libc.syscall(_FSMOUNT, context, _FSMOUNT_CLOEXEC, 0))
    finally:
        os.close(context)


def current_cpu() -> int:
    return _checked(_libc.sched_getcpu())


def getsockopt(fd: int, level: int, option: int, buffer: bytearray) -> None:
    """Call getsockopt(2) with a buffer that holds the request and then the answer, as netfilter's options need it."""
    length = ctypes.c_uint32(len(buffer))
    raw = (ctypes.c_char * len(buffer)).from_buffer(buffer)
    _checked(_libc.getsockopt(fd, level, option, raw, ctypes.byref(length)))
