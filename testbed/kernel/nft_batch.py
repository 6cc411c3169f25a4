"""Objects of nf_tables made in one transaction over netlink by hand, so that no program needs to be installed."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator

from testbed.errors import KernelRefused, NameTaken
from testbed.kernel import netlink
from testbed.kernel.netlink import attribute, nested, number, string

# include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h
_SUBSYS_NFTABLES = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEWTABLE, _NEWCHAIN, _NEWRULE = 0, 3, 6
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_CREATE, _NLM_F_APPEND = 0x1, 0x4, 0x400, 0x800
_NLMSG_ERROR = 2
_GENMSG = struct.Struct("!BBH")
_TABLE_F_OWNER = 0x2
_INET = 1
_ACCEPT = 1
_REGISTER = 1
_META_PROTOCOL, _META_NFTRACE = 1, 12
_CT_STATE, _CT_DIRECTION = 0, 1
_EQUAL, _NOT_EQUAL = 0, 1
_RECEIVE = 1 << 16

NETDEV = 5
NETDEV_HOOKS = ("INGRESS", "EGRESS")  # in the order of enum nf_dev_hooks
HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")  # in the order of enum nf_inet_hooks


class Batch:
    """A table (family inet by default) with its content; `commit` makes all of it or nothing.

    The table belongs to the socket that commits (NFT_TABLE_F_OWNER, Linux 5.12). It ends when the socket is closed for
    any reason. No other socket can change it, not even by `flush ruleset`.
    """

    def __init__(self, table: str, family: int = _INET) -> None:
        self._table = table
        self._family = family
        self._messages = [
            self._message(_NEWTABLE, _NLM_F_CREATE, string(1, table) + number(2, _TABLE_F_OWNER)),
        ]

    def chain(self, name: str, hook: str, priority: int, devices: Iterable[str] = ()) -> None:
        """Add a base chain with the policy accept; `devices` are the devices of a netdev hook."""
        hooks = NETDEV_HOOKS if self._family == NETDEV else HOOKS
        on = [nested(4, *(string(1, device) for device in devices))] if devices else []
        where = nested(4, number(1, hooks.index(hook)), number(2, priority), *on)
        kind = string(1, self._table) + string(3, name) + where + number(5, _ACCEPT) + string(7, "filter")
        self._messages.append(self._message(_NEWCHAIN, _NLM_F_CREATE, kind))

    def rule(self, chain: str, expressions: Iterable[bytes]) -> None:
        """Add a rule without a verdict: it evaluates its expressions until one does not match."""
        rule = string(1, self._table) + string(2, chain) + nested(4, *expressions)
        self._messages.append(self._message(_NEWRULE, _NLM_F_CREATE | _NLM_F_APPEND, rule))

    def _message(self, kind: int, flags: int, attributes: bytes) -> bytes:
        content = _GENMSG.pack(self._family, 0, 0) + attributes
        return netlink.message(_SUBSYS_NFTABLES << 8 | kind, _NLM_F_REQUEST | _NLM_F_ACK | flags, content)

    def commit(self, opened: socket.socket) -> None:
        """Make the table; raises NameTaken if another process has made it, KernelRefused with the kernel's reason."""
        begin, end = (_bracket(kind) for kind in (_BATCH_BEGIN, _BATCH_END))
        opened.send(begin + b"".join(self._messages) + end)
        for code in _answers(opened, len(self._messages)):
            if code == errno.EPERM:
                raise NameTaken(
                    f"the table {self._table} is there, and another's.", "Is another process tracing there?"
                )
            if code:
                raise KernelRefused(
                    f"the kernel refused the table {self._table}: {os.strerror(code)}.",
                    "Tracing needs nf_tables and Linux 5.12 or later (CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET).",
                )


def of_protocol(ethernet_type: int) -> Iterator[bytes]:
    """Yield `meta protocol NUMBER`: only packets of that protocol reach the rule's next expression."""
    yield _expression("meta", number(2, _META_PROTOCOL) + number(1, _REGISTER))
    yield _compared(_EQUAL, struct.pack("!H", ethernet_type))


def trace_on() -> Iterator[bytes]:
    """Yield `meta nftrace set 1`: every packet that reaches this rule is traced from here on."""
    yield _expression("immediate", number(1, _REGISTER) + nested(2, attribute(1, b"\1")))
    yield _expression("meta", number(2, _META_NFTRACE) + number(3, _REGISTER))


def ct_state(bit: int) -> Iterator[bytes]:
    """Yield `ct state NAME`, by the bit of that state (nf_conntrack_common.h: NF_CT_STATE_BIT)."""
    mask, zero = (nested(kind, attribute(1, struct.pack("=I", value))) for kind, value in ((4, bit), (5, 0)))
    registers = number(1, _REGISTER) + number(2, _REGISTER) + number(3, 4)
    yield _ct(_CT_STATE)
    yield _expression("bitwise", registers + mask + zero)
    yield _compared(_NOT_EQUAL, bytes(4))


def ct_reply() -> Iterator[bytes]:
    """Yield `ct direction reply`: packets in the reply direction of their connection."""
    yield _ct(_CT_DIRECTION)
    yield _compared(_EQUAL, b"\1")


def _ct(key: int) -> bytes:
    return _expression("ct", number(1, _REGISTER) + number(2, key))


def _compared(how: int, value: bytes) -> bytes:
    return _expression("cmp", number(1, _REGISTER) + number(2, how) + nested(3, attribute(1, value)))


def _answers(opened: socket.socket, number: int) -> Iterator[int]:
    """Yield the kernel's error number for each message (0: success)."""
    answered = 0
    while answered < number:
        for kind, _, body in netlink.messages(opened.recv(_RECEIVE)):
            if kind == _NLMSG_ERROR:
                answered += 1
                yield -struct.unpack_from("=i", body)[0]


def _bracket(kind: int) -> bytes:
    return netlink.message(kind, _NLM_F_REQUEST, _GENMSG.pack(0, 0, _SUBSYS_NFTABLES))


def _expression(name: str, data: bytes) -> bytes:
    return nested(1, string(1, name), nested(2, data))
