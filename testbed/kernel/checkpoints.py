"""A table of marker chains at both ends of every hook, so that the kernel's trace shows where a packet is.

The chains neither match nor change packets. The table has its own name, so iptables-save does not show it. It is
deleted with the socket that made it. The first chains enable the trace. They also report the connection tracking state
of the packet, which the trace itself reports only since Linux 6.16.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from testbed.kernel import netlink, nfnetlink
from testbed.kernel.nft_batch import HOOKS, NETDEV, NETDEV_HOOKS, Batch, ct_reply, ct_state, of_protocol, trace_on

TABLE = "docker-host-testbed"
FAMILY = 1  # inet: IPv4 and IPv6
FIRST, TRACKED, LAST = "first", "tracked", "last"
REPLY = "reply"
_BEFORE_RAW, _BEFORE_ALL, _BEHIND_TRACKING, _BEHIND_ALL = -310, -1000, -199, 1000  # -200 is connection tracking's
_FAR = 2_000_000_000  # a priority lower or higher than that of any other chain
_ETHERNET_TYPES = (0x0800, 0x86DD)  # IP and IPv6; ARP frames are not traced
_BEGINNINGS = ("PREROUTING", "OUTPUT")  # hooks where a packet's path through a node begins
# NF_CT_STATE_BIT, include/uapi/linux/netfilter/nf_conntrack_common.h
_STATES = {"INVALID": 1, "ESTABLISHED": 2, "RELATED": 4, "NEW": 8, "UNTRACKED": 64}
_RULE_TABLE, _RULE_CHAIN, _RULE_HANDLE = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A place in a hook: its beginning, after connection tracking (where its state is read), or its end."""

    hook: str
    place: str

    @property
    def chain(self) -> str:
        return f"{self.hook.lower()}-{self.place}"


CHECKPOINTS = {
    checkpoint.chain: checkpoint
    for hook in HOOKS
    for place in ((FIRST, TRACKED, LAST) if hook in _BEGINNINGS else (FIRST, LAST))
    for checkpoint in (Checkpoint(hook, place),)
}
DEVICE_CHECKPOINTS = {
    checkpoint.chain: checkpoint
    for hook in NETDEV_HOOKS
    for place in (FIRST, LAST)
    for checkpoint in (Checkpoint(hook, place),)
}


def install(
    opened: socket.socket, tracking: bool, devices: Mapping[str, tuple[str, ...]] | None = None
) -> Mapping[int, str]:
    """Make the table in a socket's namespace.

    Returns the handles of the rules that report connection states and the reply direction, with their meanings.
    `tracking` says whether the chains read connection tracking. Reading it enables it, so it is off where no rule uses
    it. `devices` are the devices of the hooks INGRESS and EGRESS, by hook. Raises KernelRefused where the kernel lacks
    the feature, NameTaken where another process already traces this namespace.
    """
    batch = Batch(TABLE)
    for checkpoint in CHECKPOINTS.values():
        if tracking or checkpoint.place != TRACKED:
            batch.chain(checkpoint.chain, checkpoint.hook, _priority(checkpoint))
    for hook in _BEGINNINGS:
        batch.rule(Checkpoint(hook, FIRST).chain, trace_on())
    for hook in _BEGINNINGS if tracking else ():
        for bit in _STATES.values():
            batch.rule(Checkpoint(hook, TRACKED).chain, ct_state(bit))
        batch.rule(Checkpoint(hook, TRACKED).chain, ct_reply())
    batch.commit(opened)
    if devices:
        _install_on(opened, devices)
    return _meanings(opened)


def _install_on(opened: socket.socket, devices: Mapping[str, tuple[str, ...]]) -> None:
    """Make the netdev table for the devices; packets that enter at a device are traced from there on."""
    batch = Batch(TABLE, NETDEV)
    for hook, names in devices.items():
        for place, priority in ((FIRST, -_FAR), (LAST, _FAR)):
            batch.chain(Checkpoint(hook, place).chain, hook, priority, names)
    for ethernet_type in _ETHERNET_TYPES if "INGRESS" in devices else ():
        batch.rule(Checkpoint("INGRESS", FIRST).chain, (*of_protocol(ethernet_type), *trace_on()))
    batch.commit(opened)


def _priority(checkpoint: Checkpoint) -> int:
    if checkpoint.place == LAST:
        return _BEHIND_ALL
    if checkpoint.place == TRACKED:
        return _BEHIND_TRACKING
    return _BEFORE_RAW if checkpoint.hook in _BEGINNINGS else _BEFORE_ALL


def _meanings(opened: socket.socket) -> dict[int, str]:
    """Return the meaning of each reporting rule by its handle; the kernel lists the rules of a chain in order."""
    handles: dict[str, list[int]] = {}
    for _, message in nfnetlink.dump(opened, nfnetlink.NFT_MSG_GETRULE, FAMILY):
        rule = dict(netlink.attributes(message))
        if netlink.text(rule[_RULE_TABLE]) == TABLE:
            handles.setdefault(netlink.text(rule[_RULE_CHAIN]), []).append(netlink.big_endian(rule[_RULE_HANDLE]))
    tracked = (handles.get(Checkpoint(hook, TRACKED).chain, ()) for hook in _BEGINNINGS)
    return {handle: said for own in tracked if own for handle, said in zip(own, (*_STATES, REPLY), strict=True)}
