"""Requirements of a bed on the machine, and the commands that install them."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from testbed.errors import MissingRequirement
from testbed.kernel import capabilities, programs, user_namespace
from testbed.kernel.backends import ALL
from testbed.kernel.namespace import AS_ROOT, DOCTOR, rootless_remedy
from testbed.kernel.nftables import NFTABLES
from testbed.kernel.xtables import BACKENDS

# Package managers, with the commands by which each installs a package without a prompt.
_MANAGERS = {
    "apt-get": (("apt-get", "update", "-q"), ("apt-get", "install", "-y", "-q", "--no-install-recommends")),
    "dnf": (("dnf", "install", "-y", "-q"),),
    "zypper": (("zypper", "--non-interactive", "install"),),
    "apk": (("apk", "add", "-q"),),
    "pacman": (("pacman", "-S", "--noconfirm", "--needed"),),
}
_OPEN_FILES = 256  # the article's bed uses 38, each further container 3
_ADDRESS_SPACE = 1 << 30  # bytes; each namespace has a thread, with its own stack and heap


@dataclass(frozen=True, slots=True)
class Requirement:
    """A requirement of a bed; `fix` is the command that provides it, empty if there is none."""

    name: str
    why: str
    met: bool
    fix: tuple[tuple[str, ...], ...] = ()
    needed: bool = True
    remedy: str = ""

    @property
    def told(self) -> tuple[str, str]:
        """The message that names the missing requirement, and the remedy."""
        by_hand = self.remedy or f"It is needed because {self.why}."
        return f"{self.name} is missing.", DOCTOR if self.fix else by_hand


def requirements(backend: str | None = None) -> list[Requirement]:
    """Return all requirements of a bed, met or not, for one backend or for both iptables backends."""
    chosen = [backend] if backend else list(BACKENDS)
    found = [
        _root(),
        Requirement(
            "root's power over networks",
            "root of a container may lack it (CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW)",
            capabilities.may(capabilities.NET_ADMIN, capabilities.NET_RAW, capabilities.SYS_ADMIN),
            remedy=AS_ROOT,
        ),
        Requirement(
            "network namespaces", "every node of a bed is one (CONFIG_NET_NS)", Path("/proc/self/ns/net").exists()
        ),
        Requirement(
            "br_netfilter",
            "packets that cross docker0 pass the rules only with it (CONFIG_BRIDGE_NETFILTER)",
            Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists(),
            (("modprobe", "br_netfilter"),),
        ),
        Requirement(
            "connection tracking",
            "translation and state matches stand on it (CONFIG_NF_CONNTRACK)",
            Path("/proc/sys/net/netfilter/nf_conntrack_max").exists(),
            (("modprobe", "nf_conntrack"),),
        ),
    ]
    return [*found, *_limits(), *(_loader(name) for name in chosen)]


def _root() -> Requirement:
    """Return the requirement of power over networks: root's, or a user namespace's."""
    why = "network namespaces, packet sockets and rules need root or a user namespace"
    if os.geteuid() == 0:
        return Requirement("a user namespace" if user_namespace.entered() else "root", why, True)
    return Requirement("root", why, False, remedy=rootless_remedy())


def _limits() -> list[Requirement]:
    """Return the requirements on the limits of setrlimit(2)."""
    return [
        Requirement(
            f"{_OPEN_FILES} open files",
            "namespaces and packet sockets are held by descriptors",
            _allowed(resource.RLIMIT_NOFILE, _OPEN_FILES),
            remedy="Allow more, for instance with `ulimit -n 4096`.",
        ),
        Requirement(
            "1 GiB of memory",
            "every namespace of a bed has a thread in it",
            _allowed(resource.RLIMIT_AS, _ADDRESS_SPACE),
            remedy="Allow more, for instance with `ulimit -v unlimited`.",
        ),
    ]


def _allowed(limit: int, needed: int) -> bool:
    """Return whether this process has at least the needed resource; a soft limit is raised if the hard limit allows."""
    soft, hard = resource.getrlimit(limit)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return True
    if hard != resource.RLIM_INFINITY and hard < needed:
        return False
    resource.setrlimit(limit, (needed if hard == resource.RLIM_INFINITY else hard, hard))
    return True


def conveniences() -> list[Requirement]:
    """Return the optional programs that help with a bed of `invoke up`."""
    return [
        _program("ip", "to look into a bed with `ip netns exec`", "iproute2", needed=False),
        _program("ipset", "rules that match sets need it, as those of engine 28.0.0 do", "ipset", needed=False),
        _program("nft", "to look at rules as nf_tables holds them", "nftables", needed=False),
        _program("curl", "to speak through a bed by hand", "curl", needed=False),
    ]


def missing(backend: str) -> list[Requirement]:
    """Return the requirements of a bed that this machine does not meet."""
    return [requirement for requirement in requirements(backend) if not requirement.met]


def require(backend: str) -> None:
    """Raise MissingRequirement for the first requirement of a bed with this backend that this machine does not meet."""
    for lacking in missing(backend):
        raise MissingRequirement(*lacking.told)


@lru_cache
def iptables_version(backend: str) -> str:
    """Return the version line of the backend's program, or an empty string if it is not installed."""
    program = programs.find(ALL[backend].program)
    if program is None:
        return ""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()


def _loader(backend: str) -> Requirement:
    why = f"it loads rules ({backend})"
    if backend == NFTABLES.name:
        return _program(NFTABLES.program, why, "nftables")
    return _program(f"{BACKENDS[backend].program}-restore", why, "iptables")


def _program(name: str, why: str, package: str, needed: bool = True) -> Requirement:
    return Requirement(name, why, programs.find(name) is not None, _install(package), needed)


def _install(package: str) -> tuple[tuple[str, ...], ...]:
    """Return the commands that install a package on this machine; empty if its package manager is unknown."""
    for manager, (*before, install) in _MANAGERS.items():
        if shutil.which(manager):
            return (*before, (*install, package))
    return ()
