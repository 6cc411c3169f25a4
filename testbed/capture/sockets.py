"""Sockets that listen, from what `ss` prints or from the kernel's own tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from testbed.capture.sections import AGAIN, Section
from testbed.capture.values import CapturedListener
from testbed.errors import CaptureError
from testbed.rules.files import shown
from testbed.topology import Address

_SS = re.compile(r"(?P<protocol>\S+)\s+(?P<state>\S+)\s+\d+\s+\d+\s+(?P<local>\S+):(?P<port>\S+)\s+\S+:\S+(?P<rest>.*)")
_PROC = re.compile(
    r"(?P<kind>(?:tcp|udp)6?)\s*\d+: (?P<local>[0-9A-F]+):(?P<port>[0-9A-F]{4}) \S+ (?P<state>[0-9A-F]{2}) "
)
_PROC_HEADER = re.compile(r"(?:tcp|udp)6?\s+sl ")
_PROGRAM = re.compile(r'\("([^"]*)",pid=')
_WAITING = {"tcp": "0A", "udp": "07"}  # TCP_LISTEN, TCP_CLOSE: include/net/tcp_states.h


def listeners(section: Section | None) -> Iterator[CapturedListener]:
    """Yield the listeners of a section, TCP's and UDP's; raises CaptureError for a line that is none."""
    if section is None or section.failure:
        return
    for number, line in enumerate(section.lines):
        if not line.strip() or line[:1].isspace() or _PROC_HEADER.match(line) or line.startswith("Netid"):
            continue
        try:
            found = _of_kernel(line) if _PROC.match(line) else _of_ss(line)
        except ValueError as error:
            raise CaptureError(f"{section.place(number)}: {shown(line)!r} is no socket: {error}.", AGAIN) from error
        if found is not None:
            yield found


def _of_ss(line: str) -> CapturedListener | None:
    found = _SS.match(line)
    if found is None:
        if line.split()[0] in ("tcp", "udp"):
            raise ValueError("it has no address and port")
        return None
    if found["protocol"] not in _WAITING or found["state"] not in ("LISTEN", "UNCONN"):
        return None
    local, _, device = found["local"].partition("%")
    programs = tuple(dict.fromkeys(_PROGRAM.findall(found["rest"])))
    port = int(found["port"]) if found["port"].isdigit() else 0
    if not port:
        return None  # a UDP socket without a port yet
    return CapturedListener(found["protocol"], port, _address(local), device.rstrip("]"), programs)


def _address(local: str) -> Address | None:
    """Return an address as ss prints it; None for all addresses of both versions."""
    text = local.strip("[]")
    return None if text == "*" else ip_address(text)


def _of_kernel(line: str) -> CapturedListener | None:
    found = _PROC.match(line)
    assert found is not None
    protocol = found["kind"][:3]
    port = int(found["port"], 16)
    if found["state"] != _WAITING[protocol] or not port:
        return None
    return CapturedListener(protocol, port, _hexadecimal(found["local"]))


def _hexadecimal(text: str) -> Address | None:
    """Return an address of /proc/net: words in the processor's byte order, taken to be little-endian."""
    words = [int(text[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(text), 8)]
    packed = b"".join(words)
    if len(packed) == 4:
        return IPv4Address(packed)
    address = IPv6Address(packed)
    return None if address.is_unspecified else address
