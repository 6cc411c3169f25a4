"""A machine of its own for a test: its network, its mounts and its /run belong to that test alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
RULES = REPOSITORY / "testbed" / "docker" / "article.rules"
_MAKE = ["unshare", "--net", "--mount", "--propagation", "private", "--"]
_READY = "mount -t tmpfs tmpfs /run && mkdir /run/lock && echo ready && read -r end"


@dataclass(frozen=True)
class Machine:
    """Namespaces in which commands run as on a machine where nobody else works; held by a process that only waits."""

    holder: subprocess.Popen[str]
    inherited: frozenset[str]

    def argv(self, *command: str, folder: Path = REPOSITORY) -> list[str]:
        """How a command is run on this machine; it can be ended by signals that this test's own process ignores."""
        entering = ["nsenter", f"--target={self.holder.pid}", "--net", "--mount", "--"]
        return [*entering, "env", "--default-signal=INT,HUP", f"--chdir={folder}", *command]

    def run(self, *command: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*command, folder=folder), capture_output=True, text=True, check=False, timeout=900
        )

    def start(self, *command: str, folder: Path = REPOSITORY) -> subprocess.Popen[str]:
        """A command that a test goes on beside, in a process group of its own."""
        argv = self.argv(*command, folder=folder)
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0)

    def invoke(self, *arguments: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "invoke", *arguments, folder=folder)

    def pytest(self, *arguments: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, folder=folder)

    @property
    def processes(self) -> list[int]:
        """Who runs on this machine besides the holder, in whatever network namespace."""
        own = mounts_of(self.holder.pid)
        everyone = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in everyone if pid != self.holder.pid and mounts_of(pid) == own]

    @property
    def names(self) -> list[str]:
        """The names of network namespaces, as `ip netns list` gives them."""
        return sorted(self.run("sh", "-c", "ls /run/netns 2>/dev/null").stdout.split())

    @property
    def held(self) -> list[str]:
        """Network namespaces that a mount of this machine keeps alive."""
        return sorted(pinned(self.holder.pid) - self.inherited)

    @property
    def records(self) -> list[str]:
        return self.run("sh", "-c", "ls -A /run/docker-host-testbed 2>/dev/null").stdout.split()


def mounts_of(pid: int) -> int:
    """Which mount namespace a process is in; 0 for one that is gone, is just ending, or is not ours to ask."""
    try:
        return Path(f"/proc/{pid}/ns/mnt").stat().st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0


def pinned(pid: int) -> frozenset[str]:
    """Where a process sees namespaces mounted."""
    mounts = Path(f"/proc/{pid}/mounts").read_text().splitlines()
    return frozenset(line.split()[1] for line in mounts if line.startswith("nsfs "))


@contextmanager
def own_machine() -> Iterator[Machine]:
    holder = subprocess.Popen([*_MAKE, "bash", "-c", _READY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    machine = Machine(holder, pinned(holder.pid))
    yield machine
    for pid in machine.processes:  # what a failed test has left
        os.kill(pid, signal.SIGKILL)
    holder.stdin.close()
    holder.stdout.close()
    holder.wait()


def assert_nothing_is_left(machine: Machine) -> None:
    assert (machine.names, machine.held, machine.records, machine.processes) == ([], [], [], [])


def assert_refused(finished: subprocess.CompletedProcess[str], sentence: str, remedy: str) -> None:
    """Exit code 2, one sentence on what is wrong, one on what to do, no traceback."""
    assert finished.returncode == 2, finished.stdout + finished.stderr
    said = finished.stderr.splitlines()
    assert len(said) == 2, finished.stderr
    assert sentence in said[0]
    assert remedy in said[1]
