"""The capabilities of this process (capabilities(7))."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

NET_BIND_SERVICE, NET_ADMIN, NET_RAW, SYS_ADMIN = 10, 12, 13, 21  # include/uapi/linux/capability.h


@lru_cache
def may(*numbers: int) -> bool:
    """Return whether this process has these capabilities (CapEff, proc_pid_status(5))."""
    status = Path("/proc/self/status").read_text()
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    return all(effective >> number & 1 for number in numbers)
