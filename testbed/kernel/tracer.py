"""The trace of one namespace: every packet that passes its hooks, with the rules that it matches."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from testbed.errors import KernelRefused
from testbed.kernel import checkpoints, netlink, nfnetlink, receiving, sysctls
from testbed.kernel.namespace import Namespace
from testbed.kernel.trace_events import TraceEvent, TraceReader, of_legacy

_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_TRACE_GROUP = 9  # NFNLGRP_NFTRACE, include/uapi/linux/netfilter/nfnetlink.h
_TRACE_MESSAGE = 10 << 8 | 17  # NFT_MSG_TRACE of nf_tables
_RECEIVE = 1 << 16
BUFFER = 256 << 20  # bytes of unread events, for some 10,000 packets; the kernel allocates memory only for what waits
# include/uapi/linux/netfilter/nfnetlink_log.h
_LOG_SUBSYSTEM = 4 << 8
_LOG_PACKET, _LOG_CONFIG = _LOG_SUBSYSTEM | 0, _LOG_SUBSYSTEM | 1
_CONFIG_COMMAND, _CONFIG_MODE, _CONFIG_QUEUE = 1, 2, 5
_BIND, _COPY_PACKET = 1, 2
_COPIED = 128  # bytes of each packet: only the headers are needed
_LOGGERS = {"net.netfilter.nf_log.2": "nfnetlink_log", "net.netfilter.nf_log.10": "nfnetlink_log"}
_NLMSG_ERROR = 2
_REQUEST, _ACK = 0x1, 0x4


@dataclass(frozen=True, slots=True)
class _Sockets:
    """The sockets of a tracer; `table` holds the checkpoints, `legacy` is None without a trace of iptables-legacy."""

    table: socket.socket
    events: _Inbox
    legacy: _Inbox | None
    meanings: Mapping[int, str]


class Tracer:
    """Traces a namespace until it is closed.

    `legacy` says whether rules of iptables-legacy are traced too. `tracking` says whether the checkpoints read
    connection tracking (checkpoints.py). `buffer` is the maximum of unread events in bytes. `devices` are the devices
    whose packets chains see before or behind IP, by hook (LoadedRuleset.devices). `meanings` maps the handles of the
    checkpoint rules to their meanings.

    Raises KernelRefused if the kernel has no trace. Raises it too if the kernel lost a message because too many waited:
    the trace is then incomplete.
    """

    def __init__(
        self,
        namespace: Namespace,
        legacy: bool = False,
        tracking: bool = True,
        buffer: int = BUFFER,
        devices: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._namespace = namespace
        self.devices = devices or {}
        self.legacy = legacy
        self._loggers: dict[str, str] = {}
        self._reader = TraceReader()
        self._sockets = namespace.run(self._open, legacy, tracking, buffer, devices)
        self.meanings = self._sockets.meanings

    def events(self) -> list[TraceEvent]:
        """Return the events of nf_tables since the last call, including checkpoints, in order."""
        return [self._reader.read(body) for body in self._received(self._sockets.events, _TRACE_MESSAGE)]

    def legacy_events(self) -> list[TraceEvent]:
        """Return the events of iptables-legacy since the last call, in order."""
        if self._sockets.legacy is None:
            return []
        bodies = self._received(self._sockets.legacy, _LOG_PACKET)
        return [event for body in bodies for event in of_legacy(memoryview(body))]

    def close(self) -> None:
        """Remove the checkpoints and restore the namespace's loggers."""
        self._namespace.run(self._close)

    def _open(
        self, legacy: bool, tracking: bool, buffer: int, devices: Mapping[str, tuple[str, ...]] | None
    ) -> _Sockets:
        table = nfnetlink.open_socket()
        meanings = checkpoints.install(table, tracking, devices)
        events = _listening()
        inbox = _Inbox(self._namespace.name, events, buffer)
        events.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _TRACE_GROUP)
        return _Sockets(table, inbox, self._open_log(buffer) if legacy else None, meanings)

    def _open_log(self, buffer: int) -> _Inbox:
        """Return an inbox of log group 0, which receives trace messages, and make nfnetlink_log the logger."""
        log = _listening()
        inbox = _Inbox(self._namespace.name, log, buffer)
        settings = (
            (_CONFIG_COMMAND, struct.pack("!B", _BIND)),
            (_CONFIG_MODE, struct.pack("!IBx", _COPIED, _COPY_PACKET)),
            (_CONFIG_QUEUE, struct.pack("!I", 1)),
        )
        for kind, setting in settings:
            _configure(log, kind, setting)
        for key, logger in _LOGGERS.items():
            path = sysctls.path_of(key)
            if path.exists():
                self._loggers[key] = path.read_text().strip()
                path.write_text(logger)
        return inbox

    def _close(self) -> None:
        for key, before in self._loggers.items():
            sysctls.path_of(key).write_text(before)
        for opened in (self._sockets.events, self._sockets.table, self._sockets.legacy):
            if opened is not None:
                opened.close()

    @staticmethod
    def _received(inbox: _Inbox, wanted: int) -> Iterator[bytes]:
        for data in inbox.take():
            for kind, body in netlink.bodies(data):
                if kind == wanted:
                    yield body


class _Inbox:
    """A socket of a namespace whose messages wait here where the kernel keeps too few of them."""

    def __init__(self, namespace: str, opened: socket.socket, size: int) -> None:
        self._namespace = namespace
        self._socket = opened
        self._waiting: list[bytes] = []
        receiving.keep_short(opened, size, self._read)

    def take(self) -> list[bytes]:
        """Return the messages since the last call, oldest first; raises KernelRefused if the kernel lost any."""
        self._read()
        taken, self._waiting = self._waiting, []
        return taken

    def close(self) -> None:
        receiving.forget(self._socket)
        self._socket.close()

    def _read(self) -> None:
        try:
            while True:
                self._waiting.append(self._socket.recv(_RECEIVE))
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            raise KernelRefused(
                f"the kernel lost trace messages of {self._namespace}: more waited than could be kept.",
                f"Ask for the journeys more often: after each thousand packets. {receiving.REMEDY}",
            ) from error


def _listening() -> socket.socket:
    opened = nfnetlink.open_socket()
    opened.setblocking(False)
    return opened


def _configure(log: socket.socket, kind: int, value: bytes) -> None:
    """Set one option of log group 0; raises KernelRefused with the kernel's reason."""
    content = struct.pack("!BBH", socket.AF_UNSPEC, 0, 0) + netlink.attribute(kind, value)
    log.send(netlink.message(_LOG_CONFIG, _REQUEST | _ACK, content))
    for answer, _, body in netlink.messages(log.recv(_RECEIVE)):
        code = -struct.unpack_from("=i", body)[0] if answer == _NLMSG_ERROR else 0
        if code:
            raise KernelRefused(
                f"the kernel does not log the trace of iptables-legacy: {errno.errorcode.get(code, code)}.",
                "It needs nfnetlink_log (CONFIG_NETFILTER_NETLINK_LOG); nothing else may listen to log group 0 there.",
            )
