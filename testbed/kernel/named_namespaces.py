"""Names for network namespaces in the file system, where `ip netns` keeps its own."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from testbed.kernel import syscalls

FOLDER = Path("/run/netns")
UNPINNED = (0, 0)


def prepare() -> None:
    """Make the folder ready as `ip netns add` does: a shared mount, so that a name removed is removed everywhere."""
    FOLDER.mkdir(mode=0o755, exist_ok=True)
    try:
        syscalls.mount("", str(FOLDER), syscalls.MS_SHARED | syscalls.MS_REC)
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: not a mount point yet
            raise
        syscalls.mount(str(FOLDER), str(FOLDER), syscalls.MS_BIND | syscalls.MS_REC)
        syscalls.mount("", str(FOLDER), syscalls.MS_SHARED | syscalls.MS_REC)


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the namespace pinned at a path; UNPINNED for an empty file there, None for nothing."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino) if found.st_dev != FOLDER.stat().st_dev else UNPINNED


def beginning_with(text: str) -> list[str]:
    """The names of namespaces that begin with a text, sorted."""
    return sorted(path.name for path in FOLDER.iterdir() if path.name.startswith(text)) if FOLDER.is_dir() else []


def unpin(path: Path) -> None:
    """Take a name away; the namespace goes when nobody else holds it."""
    if identity(path) not in (None, UNPINNED):
        syscalls.unmount(str(path))
    path.unlink(missing_ok=True)


def pin(path: Path, source: str) -> None:
    """Give the namespace that `source` stands for a name; FileExistsError when that is taken."""
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0))
    syscalls.mount(source, str(path), syscalls.MS_BIND)
