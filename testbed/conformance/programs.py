"""The paths of an engine's programs: beside its dockerd, or in the machine's search path."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import MissingRequirement
from testbed.kernel import programs

_INSTALL = "On Debian or Ubuntu `apt-get install docker.io busybox-static` installs what is needed."
_ELSEWHERE = f"Say where an engine is with --dockerd PATH. {_INSTALL}"
_BESIDE = (".", "../bin", "../sbin", "../libexec/docker")  # folders in which packages install the parts of an engine
_ELF = struct.Struct("<4sB27xQ14xHH")  # magic, class, offset, size and number of program headers; elf(5), 64 bits
_CLASS_64 = 2
_INTERPRETER = 3  # PT_INTERP: the kernel has to load a dynamic linker


@dataclass(frozen=True, slots=True)
class EnginePrograms:
    """An engine's programs; `path` is the search path of dockerd and containerd for the programs that they start.

    `backend` is the backend of their iptables: nft or legacy. `instead` are programs to be found first: name and path
    of each.
    """

    dockerd: str
    containerd: str
    proxy: str
    busybox: str
    backend: str
    path: str
    instead: tuple[tuple[str, str], ...] = ()


def find(dockerd: str = "", backend: str = "") -> EnginePrograms:
    """Return the programs of an engine: the one with this dockerd, or the machine's own.

    Its iptables uses `backend`, or the machine's default. Raise MissingRequirement for the first missing program.
    """
    found = shutil.which(dockerd) if dockerd else programs.find("dockerd")
    if found is None:
        what = f"there is no program {dockerd}" if dockerd else "the program dockerd is not installed"
        raise MissingRequirement(f"{what}.", _ELSEWHERE)
    beside = Path(found).absolute().parent
    folders = [str((beside / folder).resolve()) for folder in _BESIDE]
    path = os.pathsep.join([*dict.fromkeys(folders), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    for started_by_others in ("containerd-shim-runc-v2", "runc", "ip6tables"):
        _program(started_by_others, path)
    chosen = ("iptables", "ip6tables") if backend else ()
    return EnginePrograms(
        str(Path(found).absolute()),
        _program("containerd", path),
        _program("docker-proxy", path),
        _busybox(path),
        backend or _backend(_program("iptables", path)),
        path,
        tuple((name, _program(f"{name}-{backend}", path)) for name in chosen),
    )


def _program(name: str, path: str) -> str:
    found = shutil.which(name, path=path)
    if found is None:
        raise MissingRequirement(f"the program {name} is not installed.", _INSTALL)
    return found


def _backend(iptables: str) -> str:
    version = subprocess.run([iptables, "--version"], capture_output=True, text=True, check=False).stdout
    return "nft" if "nf_tables" in version else "legacy"


def _busybox(path: str) -> str:
    """Return a busybox that needs no other file, for an image that contains nothing else."""
    for folder in path.split(os.pathsep):
        found = shutil.which("busybox", path=folder)
        if found is not None and is_static(Path(found)):
            return found
    raise MissingRequirement(
        "no statically linked busybox is installed; the containers' image is made of it.", _INSTALL
    )


def is_static(program: Path) -> bool:
    """Return whether a program is a 64-bit ELF file that needs no dynamic linker."""
    data = program.read_bytes()
    magic, word_size, offset, size, number = _ELF.unpack_from(data.ljust(_ELF.size, b"\0"))
    if (magic, word_size) != (b"\x7fELF", _CLASS_64):
        return False
    kinds = [struct.unpack_from("<I", data, offset + entry * size)[0] for entry in range(number)]
    return _INTERPRETER not in kinds
