"""An ordinary user of a machine of its own, who may read the repository and the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from own_machine import REPOSITORY, Machine

UID = 100000 + os.getpid()  # tests that run beside each other have different users
_HIDDEN = 0o005  # a folder that others can neither read nor enter
_OPEN = """
mkdir -p /run/kept
mount --bind "$1/$2" /run/kept
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/$2"
mount --move /run/kept "$1/$2"
rmdir /run/kept
"""


@dataclass(frozen=True)
class User:
    """Runs commands on a machine as an ordinary user; `home` is the user's."""

    machine: Machine
    home: Path

    def run(self, *command: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
        return self.machine.run(*self._as_user(), *command, folder=folder)

    def invoke(self, *arguments: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "invoke", *arguments, folder=folder)

    def pytest(self, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, folder=folder)

    def _as_user(self) -> list[str]:
        dropped = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all", "--"]
        return [*dropped, "env", f"HOME={self.home}", f"LOGNAME=u{UID}", "PYTHONDONTWRITEBYTECODE=1"]

    @property
    def processes(self) -> list[int]:
        """The processes of this user, on whatever machine."""
        entries = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [int(entry.name) for entry in entries if _real_uid(entry) == UID]


def _real_uid(entry: Path) -> int | None:
    try:
        status = (entry / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if "State:\tZ" in status else int(status.partition("Uid:")[2].split()[0])


def ordinary_user(machine: Machine, home: Path) -> User:
    """Return a user of that machine, on which the folders of the repository and of Python are open to all."""
    for needed in (REPOSITORY, Path(sys.base_prefix), Path(sys.prefix), home):
        for part, folder in zip(needed.parts[1:], list(reversed(needed.parents)), strict=True):
            mode = int(machine.run("stat", "--format=%a", str(folder)).stdout, 8)
            if folder != Path("/") and mode & _HIDDEN != _HIDDEN:
                opened = machine.run("sh", "-ec", _OPEN, "sh", str(folder), part)
                assert opened.returncode == 0, opened.stderr
    machine.run("chown", "--recursive", f"{UID}:{UID}", str(home))
    return User(machine, home)
