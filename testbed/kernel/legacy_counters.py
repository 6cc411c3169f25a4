"""Counters of iptables-legacy rules, read with the socket options that iptables itself uses.

Layout: include/uapi/linux/netfilter_ipv4/ip_tables.h on a 64-bit kernel; the kernel sums the counters of all
processors while it copies the table out (copy_entries_to_user, net/ipv4/netfilter/ip_tables.c).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from testbed.kernel import syscalls
from testbed.kernel.counts import ChainCounts, Counts
from testbed.rules.counters import Counters

_IPT_SO_GET_INFO, _IPT_SO_GET_ENTRIES = 64, 65
_INFO = struct.Struct("=32sI5I5III")
_GET_ENTRIES = struct.Struct("=32sI4x")
_OFFSETS = struct.Struct("=HH")  # of an entry: where its target begins, where the next entry begins
_OFFSETS_AT = 88
_COUNTERS = struct.Struct("=QQ")
_COUNTERS_AT = 96
_TARGET_NAME_AT, _TARGET_NAME_LENGTH = 2, 29
_ERROR_NAME_AT = 32
_HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")


def open_socket() -> socket.socket:
    """A socket to read the tables of the calling thread's namespace with."""
    return socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)


def tables() -> list[str]:
    """The tables that exist in the calling thread's namespace."""
    return sorted(Path("/proc/thread-self/net/ip_tables_names").read_text().split())


def read(opened: socket.socket, names: list[str]) -> Counts:
    """Every rule and policy of those tables."""
    chains: dict[tuple[str, str], ChainCounts] = {}
    identity: list[bytes] = []
    for name in names:
        blob, starts = _entries(opened, name)
        for chain, counts in _chains(blob, starts):
            chains[name, chain] = counts
        identity.append(_without_counters(blob))
    return Counts((tuple(names), tuple(identity)), chains)


def _entries(opened: socket.socket, table: str) -> tuple[bytearray, dict[int, str]]:
    """A table as the kernel holds it, and where in it the built-in chains begin."""
    request = bytearray(_INFO.pack(table.encode(), *[0] * 13))
    syscalls.getsockopt(opened.fileno(), socket.SOL_IP, _IPT_SO_GET_INFO, request)
    _, valid, *numbers = _INFO.unpack(request)
    size = numbers[11]
    starts = {numbers[hook]: name for hook, name in enumerate(_HOOKS) if valid & 1 << hook}
    request = bytearray(_GET_ENTRIES.pack(table.encode(), size)) + bytearray(size)
    syscalls.getsockopt(opened.fileno(), socket.SOL_IP, _IPT_SO_GET_ENTRIES, request)
    return request[_GET_ENTRIES.size :], starts


def _offsets(blob: bytearray) -> Iterator[int]:
    offset = 0
    while offset < len(blob):
        yield offset
        offset += _OFFSETS.unpack_from(blob, offset + _OFFSETS_AT)[1]


def _chains(blob: bytearray, starts: dict[int, str]) -> Iterator[tuple[str, ChainCounts]]:
    """Each chain: its rules, then one entry that is the policy or the return at the end of a user-defined chain."""
    name, built_in = "", False
    counted: list[Counters] = []
    for offset in _offsets(blob):
        header = _user_chain(blob, offset)
        if header is not None or offset in starts:
            if name:
                yield name, _chain(counted, built_in)
            name, built_in = (header, False) if header is not None else (starts[offset], True)
            counted = []
        if header is None:
            counted.append(Counters(*_COUNTERS.unpack_from(blob, offset + _COUNTERS_AT)))


def _chain(counted: list[Counters], built_in: bool) -> ChainCounts:
    *rules, last = counted
    return ChainCounts(last if built_in else None, tuple(rules))


def _user_chain(blob: bytearray, offset: int) -> str | None:
    """The chain's name where an entry with the target ERROR heads a user-defined chain (or ends the table)."""
    target = offset + _OFFSETS.unpack_from(blob, offset + _OFFSETS_AT)[0]
    if _string(blob, target + _TARGET_NAME_AT, _TARGET_NAME_LENGTH) != "ERROR":
        return None
    return _string(blob, target + _ERROR_NAME_AT, _TARGET_NAME_LENGTH + 1)


def _string(blob: bytearray, at: int, length: int) -> str:
    return bytes(blob[at : at + length]).split(b"\0")[0].decode(errors="replace")


def _without_counters(blob: bytearray) -> bytes:
    shape = bytearray(blob)
    for offset in _offsets(blob):
        shape[offset + _COUNTERS_AT : offset + _COUNTERS_AT + _COUNTERS.size] = bytes(_COUNTERS.size)
    return bytes(shape)
