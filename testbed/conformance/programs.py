"""Where an engine's programs are: beside its dockerd, or where the machine has them."""

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
_BESIDE = (".", "../bin", "../sbin", "../libexec/docker")  # where packages put the parts of an engine
_ELF = struct.Struct("<4sB27xQ14xHH")  # magic, class, offset, size and number of program headers; elf(5), 64 bits
_CLASS_64 = 2
_INTERPRETER = 3  # PT_INTERP: the kernel is to load a dynamic linker


@dataclass(frozen=True, slots=True)
class EnginePrograms:
    """An engine's programs; `path` is where dockerd and containerd look for those that they start themselves.

    `backend` is how iptables speaks to the kernel there: nft or legacy. `instead` are programs that they are to find
    first: what each is called, and where it is.
    """

    dockerd: str
    containerd: str
    proxy: str
    busybox: str
    backend: str
    path: str
    instead: tuple[tuple[str, str], ...] = ()


def find(dockerd: str = "", backend: str = "") -> EnginePrograms:
    """The programs of an engine: the one with this dockerd, or the machine's own.

    Its iptables speaks by `backend`, or as the machine's own does. Raises MissingRequirement for the first program that
    is not there.
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
    """A busybox that needs no file beside it, for an image that holds nothing else."""
    for folder in path.split(os.pathsep):
        found = shutil.which("busybox", path=folder)
        if found is not None and is_static(Path(found)):
            return found
    raise MissingRequirement(
        "no statically linked busybox is installed; the containers' image is made of it.", _INSTALL
    )


def is_static(program: Path) -> bool:
    """Whether a program is one of 64 bits that needs no dynamic linker."""
    data = program.read_bytes()
    magic, word_size, offset, size, number = _ELF.unpack_from(data.ljust(_ELF.size, b"\0"))
    if (magic, word_size) != (b"\x7fELF", _CLASS_64):
        return False
    kinds = [struct.unpack_from("<I", data, offset + entry * size)[0] for entry in range(number)]
    return _INTERPRETER not in kinds
