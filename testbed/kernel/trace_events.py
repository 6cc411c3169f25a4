"""The kernel's trace: a message for each rule that a traced packet matches, each chain's end and each policy.

nf_tables sends them to a multicast group (nf_tables_trace.c: nft_trace_notify). iptables-legacy logs them instead
(ip_tables.c: trace_packet), and nfnetlink_log carries them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from testbed.errors import KernelRefused
from testbed.kernel import netlink
from testbed.kernel.nfnetlink import FAMILIES

RULE, POLICY, RETURN = "rule", "policy", "return"
# include/uapi/linux/netfilter/nf_tables.h: enum nft_trace_attributes, nft_trace_types, nft_verdicts
_TABLE, _CHAIN, _HANDLE, _TYPE, _VERDICT, _ID = 1, 2, 3, 4, 5, 6
_NETWORK, _TRANSPORT, _IIF, _OIF, _MARK = 8, 9, 10, 12, 14
_TYPES = {1: POLICY, 2: RETURN, 3: RULE}
# The kernel's verdict is the lowest byte: a queue's number and flags are in higher bits (linux/netfilter.h).
_VERDICT_MASK = 0xFF
_CODES = {
    0: "drop",
    1: "accept",
    2: "stolen",
    3: "queue",
    4: "repeat",
    5: "stop",
    -1: "continue",
    -2: "break",
    -3: "jump",
    -4: "goto",
    -5: "return",
}
_CODE, _TARGET = 1, 2
_GENMSG = 4  # bytes of struct nfgenmsg
# Kernels put the packet's number after family and type (nft_trace_notify); its place, attribute header and end.
_ID_AT, _ID_HEADER, _ID_BEHIND = slice(20, 24), b"\x08\x00\x06\x00", 28
# include/uapi/linux/netfilter/nfnetlink_log.h: enum nfulnl_attr_type
_LOG_HEADER, _LOG_MARK, _LOG_IN, _LOG_OUT, _LOG_PAYLOAD, _LOG_PREFIX = 1, 2, 4, 5, 9, 10
_LEGACY = re.compile(r"TRACE: (?P<table>[^:]+):(?P<chain>[^:]+):(?:rule|return|policy):(?P<number>\d+)")
_LEGACY_HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")


class TraceEvent(NamedTuple):
    """One trace message.

    `table` is `FAMILY NAME`. `rule` is a rule's handle (nf_tables) or its number (legacy), 0 for none. `verdict` is
    that of nf_tables (`accept`, `drop`, `queue`, `stolen`, `jump CHAIN`, ...). It is empty in legacy, where the rule's
    target decides. `network` and `transport` are the beginnings of the packet's headers. nf_tables sends them only with
    the first event of each base chain, and not if that rule has stolen the packet. `packet` is nf_tables' number for a
    packet in one node. It is 0 in legacy, where each event has the headers. `hook` is set by legacy only. Interfaces
    are indexes, 0 for none.
    """

    table: str
    chain: str
    kind: str
    rule: int
    verdict: str
    packet: int
    network: bytes
    transport: bytes
    entered: int
    left: int
    mark: int
    hook: str = ""


class TraceReader:
    """A parser for the messages of the trace group.

    Messages that differ only in the packet's number are parsed once, since a chain's rules produce the same messages
    for every packet.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, TraceEvent] = {}

    def read(self, body: bytes) -> TraceEvent:
        """Return the event of a message's body."""
        if body[_ID_AT] != _ID_HEADER:
            return _of_nftables(memoryview(body))
        rest = body[: _ID_AT.start] + body[_ID_BEHIND:]
        known = self._known.get(rest)
        packet = int.from_bytes(body[_ID_AT.stop : _ID_BEHIND], "big")
        if known is not None:
            return known._replace(packet=packet) if known.packet != packet else known
        event = _of_nftables(memoryview(body))
        if not event.network:
            self._known[rest] = event
        return event


def _of_nftables(body: memoryview) -> TraceEvent:
    found = dict(netlink.attributes(body[_GENMSG:]))

    def number(attribute: int) -> int:
        return netlink.big_endian(found[attribute]) if attribute in found else 0

    return TraceEvent(
        f"{FAMILIES[body[0]]} {netlink.text(found[_TABLE])}",
        netlink.text(found[_CHAIN]),
        _TYPES[number(_TYPE)],
        number(_HANDLE),
        _verdict(found[_VERDICT]) if _VERDICT in found else "",
        number(_ID),
        bytes(found.get(_NETWORK, b"")),
        bytes(found.get(_TRANSPORT, b"")),
        number(_IIF),
        number(_OIF),
        number(_MARK),
    )


def of_legacy(body: memoryview) -> Iterator[TraceEvent]:
    """Yield the event of a log message's body; nothing for a message of another rule with LOG or NFLOG.

    The kernel labels a chain's last rule without a match `return` or `policy`, like the chain's own end. Only the
    number distinguishes them.
    """
    found = dict(netlink.attributes(body[_GENMSG:]))
    said = _LEGACY.match(netlink.text(found.get(_LOG_PREFIX, memoryview(b""))))
    if said is None:
        return
    packet = bytes(found.get(_LOG_PAYLOAD, b""))
    first = packet[0] if packet else 0
    behind = 40 if first >> 4 == 6 else (first & 0xF) * 4

    def number(attribute: int) -> int:
        return netlink.big_endian(found[attribute]) if attribute in found else 0

    yield TraceEvent(
        f"{FAMILIES[body[0]]} {said['table']}",
        said["chain"],
        RULE,
        int(said["number"]),
        "",
        0,
        packet[:behind],
        packet[behind : behind + 20],
        number(_LOG_IN),
        number(_LOG_OUT),
        number(_LOG_MARK),
        _LEGACY_HOOKS[found[_LOG_HEADER][2]],
    )


def _verdict(nested: memoryview) -> str:
    said = dict(netlink.attributes(nested))
    number = int.from_bytes(said[_CODE], "big", signed=True)
    code = _CODES.get(number if number < 0 else number & _VERDICT_MASK)
    if code is None:
        raise KernelRefused(f"the kernel's trace has a verdict {number}, which is not known here.")
    return f"{code} {netlink.text(said[_TARGET])}" if _TARGET in said else code
