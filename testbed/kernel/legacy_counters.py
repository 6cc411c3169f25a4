"""Counters of iptables-legacy rules, read with the socket options that iptables itself uses.

Layout: include/uapi/linux/netfilter_ipv4/ip_tables.h on a 64-bit kernel. The kernel sums the counters of all processors
while it copies the table out (copy_entries_to_user, net/ipv4/netfilter/ip_tables.c).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed.kernel import syscalls
from testbed.kernel.counts import ChainCounts, Counts
from testbed.rules.counters import Counters
from testbed.rules.ruleset import IPV6

_SO_GET_INFO, _SO_GET_ENTRIES = 64, 65
_INFO = struct.Struct("=32sI5I5III")
_GET_ENTRIES = struct.Struct("=32sI4x")
_OFFSETS = struct.Struct("=HH")  # offsets in an entry: of its target, and of the next entry
_COUNTERS = struct.Struct("=QQ")
_TARGET_NAME_AT, _TARGET_NAME_LENGTH = 2, 29
_ERROR_NAME_AT = 32
_HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")


@dataclass(frozen=True, slots=True)
class LegacyFamily:
    """Socket options of the IPv4 or IPv6 tables, and the positions of offsets and counters in an entry."""

    prefix: str
    domain: int
    level: int
    listed: str
    offsets_at: int
    counters_at: int


# struct ipt_entry, and struct ip6t_entry of include/uapi/linux/netfilter_ipv6/ip6_tables.h
_FAMILIES = (
    LegacyFamily("", socket.AF_INET, socket.SOL_IP, "ip_tables_names", 88, 96),
    LegacyFamily(IPV6, socket.AF_INET6, socket.IPPROTO_IPV6, "ip6_tables_names", 140, 152),
)


@dataclass(frozen=True, slots=True)
class OpenTables:
    """The tables of one family in a namespace, and a socket to read them with."""

    family: LegacyFamily
    socket: socket.socket
    names: tuple[str, ...]


def open_families() -> list[OpenTables]:
    """Return the readable tables of the calling thread's namespace, by family."""
    return [OpenTables(family, _socket(family), names) for family in _FAMILIES if (names := _names(family))]


def close(families: list[OpenTables]) -> None:
    """Close the sockets of those tables."""
    for opened in families:
        opened.socket.close()


def read(families: list[OpenTables]) -> Counts:
    """Return the counters of every rule and policy of those tables."""
    chains: dict[tuple[str, str], ChainCounts] = {}
    identity: list[tuple[str, bytes]] = []
    for opened in families:
        for name in opened.names:
            blob, starts = _entries(opened, name)
            table = _Table(opened.family, blob, starts)
            label = opened.family.prefix + name
            chains.update({(label, chain): counts for chain, counts in table.chains()})
            identity.append((label, table.without_counters()))
    return Counts(tuple(identity), chains)


def _socket(family: LegacyFamily) -> socket.socket:
    return socket.socket(family.domain, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)


def _names(family: LegacyFamily) -> tuple[str, ...]:
    """Return the tables that exist in the calling thread's namespace; none for a family that the kernel lacks."""
    listed = Path("/proc/thread-self/net", family.listed)
    return tuple(sorted(listed.read_text().split())) if listed.exists() else ()


def _entries(opened: OpenTables, table: str) -> tuple[bytearray, dict[int, str]]:
    """Return a table as the kernel holds it, and the offsets where its built-in chains begin."""
    descriptor, level = opened.socket.fileno(), opened.family.level
    request = bytearray(_INFO.pack(table.encode(), *[0] * 13))
    syscalls.getsockopt(descriptor, level, _SO_GET_INFO, request)
    _, valid, *numbers = _INFO.unpack(request)
    size = numbers[11]
    starts = {numbers[hook]: name for hook, name in enumerate(_HOOKS) if valid & 1 << hook}
    request = bytearray(_GET_ENTRIES.pack(table.encode(), size)) + bytearray(size)
    syscalls.getsockopt(descriptor, level, _SO_GET_ENTRIES, request)
    return request[_GET_ENTRIES.size :], starts


@dataclass(frozen=True, slots=True)
class _Table:
    """A table as read from the kernel; `starts` maps offsets to the built-in chains that begin there."""

    family: LegacyFamily
    blob: bytearray
    starts: dict[int, str]

    def chains(self) -> Iterator[tuple[str, ChainCounts]]:
        """Yield each chain: its rules, then an entry for the policy or for the return at a user-defined chain's end."""
        name, built_in = "", False
        counted: list[Counters] = []
        for offset in self._offsets():
            header = self._user_chain(offset)
            if header is not None or offset in self.starts:
                if name:
                    yield name, _chain(counted, built_in)
                name, built_in = (header, False) if header is not None else (self.starts[offset], True)
                counted = []
            if header is None:
                counted.append(Counters(*_COUNTERS.unpack_from(self.blob, offset + self.family.counters_at)))

    def without_counters(self) -> bytes:
        shape = bytearray(self.blob)
        for offset in self._offsets():
            at = offset + self.family.counters_at
            shape[at : at + _COUNTERS.size] = bytes(_COUNTERS.size)
        return bytes(shape)

    def _offsets(self) -> Iterator[int]:
        offset = 0
        while offset < len(self.blob):
            yield offset
            offset += _OFFSETS.unpack_from(self.blob, offset + self.family.offsets_at)[1]

    def _user_chain(self, offset: int) -> str | None:
        """Return the chain's name if this entry has the target ERROR, which heads a user-defined chain or ends the
        table.
        """
        target = offset + _OFFSETS.unpack_from(self.blob, offset + self.family.offsets_at)[0]
        if _string(self.blob, target + _TARGET_NAME_AT, _TARGET_NAME_LENGTH) != "ERROR":
            return None
        return _string(self.blob, target + _ERROR_NAME_AT, _TARGET_NAME_LENGTH + 1)


def _chain(counted: list[Counters], built_in: bool) -> ChainCounts:
    *rules, last = counted
    return ChainCounts(last if built_in else None, tuple(rules))


def _string(blob: bytearray, at: int, length: int) -> str:
    return bytes(blob[at : at + length]).split(b"\0")[0].decode(errors="replace")
