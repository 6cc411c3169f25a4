"""A table of our own that marks where a packet is: chains at both ends of every hook, which the kernel's trace names.

It asks nothing of the packet and changes nothing; it has a name of its own, so that iptables-save does not show it,
and it goes with the socket that made it. Its first chains switch the trace on, and say what connection tracking calls
the packet: the trace itself says that only since Linux 6.16.
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
_FAR = 2_000_000_000  # a priority before, or behind, that of any chain
_ETHERNET_TYPES = (0x0800, 0x86DD)  # of IP and IPv6: frames of ARP are not traced
_BEGINNINGS = ("PREROUTING", "OUTPUT")  # where a packet's way through a node begins
# NF_CT_STATE_BIT, include/uapi/linux/netfilter/nf_conntrack_common.h
_STATES = {"INVALID": 1, "ESTABLISHED": 2, "RELATED": 4, "NEW": 8, "UNTRACKED": 64}
_RULE_TABLE, _RULE_CHAIN, _RULE_HANDLE = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A place in a hook: its beginning, behind connection tracking (where that is asked), its end."""

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
    """Make the table in a socket's namespace; the handles of its rules that tell states and the direction of replies.

    `tracking`: whether connection tracking is asked. To ask it is to switch it on, so it is left alone where no rule
    does. `devices` are those of the hooks INGRESS and EGRESS, by hook. KernelRefused where the kernel cannot, NameTaken
    where another process is tracing there.
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
    """Make the table of the devices; what comes in there is traced from there on."""
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
    """What a match of each rule says, by its handle; the kernel lists the rules of a chain in order."""
    handles: dict[str, list[int]] = {}
    for _, message in nfnetlink.dump(opened, nfnetlink.NFT_MSG_GETRULE, FAMILY):
        rule = dict(netlink.attributes(message))
        if netlink.text(rule[_RULE_TABLE]) == TABLE:
            handles.setdefault(netlink.text(rule[_RULE_CHAIN]), []).append(netlink.big_endian(rule[_RULE_HANDLE]))
    tracked = (handles.get(Checkpoint(hook, TRACKED).chain, ()) for hook in _BEGINNINGS)
    return {handle: said for own in tracked if own for handle, said in zip(own, (*_STATES, REPLY), strict=True)}
