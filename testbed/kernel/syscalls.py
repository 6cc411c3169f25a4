"""System calls that Python 3.11 does not offer; each raises OSError with the kernel's errno."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
MS_BIND = 0x1000  # include/uapi/linux/mount.h
MS_REC = 0x4000
MS_SHARED = 0x100000
MNT_DETACH = 2

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


def mount(source: str, target: str, flags: int) -> None:
    _checked(_libc.mount(source.encode(), target.encode(), b"none", ctypes.c_ulong(flags), None), target)


def unmount(target: str) -> None:
    _checked(_libc.umount2(target.encode(), MNT_DETACH), target)


def current_cpu() -> int:
    return _checked(_libc.sched_getcpu())


def getsockopt(fd: int, level: int, option: int, buffer: bytearray) -> None:
    """Call getsockopt(2) with a buffer that holds the request and then the answer, as netfilter's options need it."""
    length = ctypes.c_uint32(len(buffer))
    raw = (ctypes.c_char * len(buffer)).from_buffer(buffer)
    _checked(_libc.getsockopt(fd, level, option, raw, ctypes.byref(length)))
