"""Names of network namespaces in the file system, in the folder that `ip netns` uses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from testbed.kernel import syscalls

FOLDER = Path("/run/netns")
UNPINNED = (0, 0)


def prepare() -> None:
    """Prepare the folder as `ip netns add` does: a shared mount, so that a removed name is removed in all mount
    namespaces.
    """
    FOLDER.mkdir(mode=0o755, exist_ok=True)
    try:
        syscalls.mount("", str(FOLDER), syscalls.MS_SHARED | syscalls.MS_REC)
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: not a mount point yet
            raise
        syscalls.mount(str(FOLDER), str(FOLDER), syscalls.MS_BIND | syscalls.MS_REC)
        syscalls.mount("", str(FOLDER), syscalls.MS_SHARED | syscalls.MS_REC)


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the namespace pinned at a path; UNPINNED for an empty file, None for no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino) if found.st_dev != FOLDER.stat().st_dev else UNPINNED


def beginning_with(text: str) -> list[str]:
    """Return the sorted names of namespaces that begin with a text."""
    return sorted(path.name for path in FOLDER.iterdir() if path.name.startswith(text)) if FOLDER.is_dir() else []


def unpin(path: Path) -> None:
    """Remove a name; the kernel deletes the namespace when no process or name holds it."""
    if identity(path) not in (None, UNPINNED):
        syscalls.unmount(str(path))
    path.unlink(missing_ok=True)


def pin(path: Path, source: str) -> None:
    """Pin the namespace of the path `source` at a path; raises FileExistsError when the path exists."""
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0))
    syscalls.mount(source, str(path), syscalls.MS_BIND)
