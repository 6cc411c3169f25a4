"""The sysctls of the calling thread's network namespace, for writing too where /proc/sys is mounted read-only.

A container that is not privileged has such a mount. With CAP_SYS_ADMIN a second procfs is opened there that no folder
shows, so the container's own mounts stay as they are.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from testbed.kernel import syscalls

_MOUNTED = Path("/proc/sys")
_SWAPPED = str.maketrans("./", "/.")


def path_of(key: str) -> Path:
    """Return the file of a sysctl, such as net.ipv4.ip_forward; a slash in a key is a dot of a device's name."""
    return _folder() / key.translate(_SWAPPED)


@lru_cache(maxsize=1)
def _folder() -> Path:
    if not os.statvfs(_MOUNTED).f_flag & os.ST_RDONLY:
        return _MOUNTED
    try:
        return Path(f"/proc/{os.getpid()}/fd/{syscalls.open_procfs()}/sys")
    except OSError:
        return _MOUNTED  # writing says what is wrong
