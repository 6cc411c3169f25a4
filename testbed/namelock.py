"""A lock for the name of a bed that ends with its process, and that no other user can take.

It is a file lock in a folder that only root can enter: a user who cannot open the file cannot lock it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from testbed.errors import NameTaken, TestbedError

FOLDER = Path("/run/docker-host-testbed.locks")


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock of a name while the block runs; raises NameTaken if another process of root holds it.

    The folder is removed afterwards, unless other names are locked. Raises TestbedError for a folder that other users
    can enter.
    """
    while (held := _held(name)) is None:
        continue
    try:
        yield
    finally:
        with suppress(OSError):
            (FOLDER / name).unlink()
            FOLDER.rmdir()
        os.close(held)


def _held(name: str) -> int | None:
    """Return the descriptor that holds the lock; None if the file was removed between opening and locking it."""
    with suppress(FileExistsError):
        FOLDER.mkdir(mode=0o700)
    try:
        folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _not_roots() from error
    try:
        found = os.fstat(folder)
        if found.st_uid != 0 or found.st_mode & 0o077:
            raise _not_roots()
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    except FileNotFoundError:
        return None
    finally:
        os.close(folder)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise NameTaken(
            f"another command is making or removing the bed {name} just now.", "Try again when it is done."
        ) from error
    if os.fstat(file).st_nlink:
        return file
    os.close(file)
    return None


def _not_roots() -> TestbedError:
    return TestbedError(
        f"{FOLDER} is no folder that root alone can enter, so another user could lock names there.",
        f"Remove it: rm -r {FOLDER}",
    )
