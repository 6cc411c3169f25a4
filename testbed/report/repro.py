"""A shell script that rebuilds a bed with `ip` and iptables or nft, and sends recorded frames through it again.

It needs iproute2, util-linux, the program that loads the rules, and Python; nothing of the testbed. It runs in
namespaces of its own, as root or as an ordinary user. It ends with 0 if every packet arrives where it did, else with 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pprint import pformat

from testbed.observe.header import TracedHeader, cookie_of
from testbed.observe.journey import DELIVERED, Journey
from testbed.observe.link_capture import LinkFrame
from testbed.report.shell_script import load, network
from testbed.rules import AnyRuleset
from testbed.topology import Topology
from testbed.visible import visible

_ETHERNET = 14  # bytes of a frame's header
_SCRIPT = """#!/bin/sh
# {title}
# Rebuilds the bed in namespaces of its own and sends the packets again: exit code 0 if each arrives where it did.
if [ -z "$REPRO" ]; then
    [ "$(id -u)" = 0 ] || user="--user --map-root-user"
    REPRO=1 exec unshare $user --net --mount sh "$0"
fi
set -e
PATH="$PATH:/usr/sbin:/sbin"
mount -t tmpfs tmpfs /run
{network}
{rules}
for node in {nodes}; do # until links carry frames
    while ip -n "$node" -o link show up | grep LOWER_UP | grep -v LOOPBACK | grep -qv "state UP"; do sleep 0.1; done
done
python3 - <<'PYTHON'
{program}
PYTHON
"""
_PROGRAM = """import ctypes, os, select, socket, sys

ENDS = {ends}
PACKETS = {packets}
libc = ctypes.CDLL(None)


def opened(node, device):
    namespace = os.open(f"/run/netns/{{node}}", os.O_RDONLY)
    assert libc.setns(namespace, 0x40000000) == 0, node
    os.close(namespace)
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3)), device


def key(packet):
    return packet[4:6] + packet[9:10] if packet[0] >> 4 == 4 else packet[1:4]


sockets = {{}}
for node, device in ENDS:
    sockets[node, device], _ = opened(node, device)
    sockets[node, device].bind((device, 3))
names = {{one.fileno(): node for (node, _), one in sockets.items()}}
different = 0
for node, device, frame, said, recorded in PACKETS:
    frame = bytes.fromhex(frame)
    sockets[node, device].send(frame)
    arrived = ""
    while not arrived:
        ready, _, _ = select.select(list(sockets.values()), [], [], 1)
        if not ready:
            break
        for one in ready:
            data, (_, protocol, kind, *_) = one.recvfrom(65536)
            if kind != 4 and protocol in (0x0800, 0x86DD) and key(data[14:]) == key(frame[14:]):
                arrived = arrived or names[one.fileno()]
    different += arrived != recorded
    print(f"{{said}}: {{'arrived at ' + arrived if arrived else 'did not arrive'}}"
          f" ({{'as' if arrived == recorded else 'NOT as'}} recorded)")
sys.exit(1 if different else 0)"""


def script(
    title: str,
    topology: Topology,
    rules: AnyRuleset,
    program: str,
    frames: Sequence[LinkFrame],
    told: Iterable[Journey],
) -> str:
    """Return the script; `program` is the iptables that loads the rules."""
    ends = [
        (node.name, interface.name)
        for node in topology.nodes
        if not node.passes_on and node.name != topology.host
        for interface in node.interfaces
    ]
    packets = list(_packets(frames, told, ends))
    return _SCRIPT.format(
        title=visible(title),
        nodes=" ".join(node.name for node in topology.nodes),
        network=network(topology),
        rules=load(topology, rules, program),
        program=_PROGRAM.format(ends=pformat(ends, width=110), packets=pformat(packets, width=110)),
    )


def _packets(
    frames: Sequence[LinkFrame], told: Iterable[Journey], ends: Sequence[tuple[str, str]]
) -> Iterable[tuple[str, str, str, str, str]]:
    """Yield each packet that an endpoint sent: node, device, frame, words, and the node where it was delivered."""
    journeys = {cookie_of(journey.sent): journey for journey in told}
    for frame in frames:
        journey = journeys.get(TracedHeader.of(frame.data[_ETHERNET:]).cookie)
        port = frame.link.a if frame.link.a.node == frame.sender else frame.link.b
        if journey is None or (port.node, port.device) not in ends or journey.origin != frame.sender:
            continue
        del journeys[cookie_of(journey.sent)]
        said = f"{journey.sent.kind} of {journey.origin}, {journey.sent.from_} > {journey.sent.to}"
        arrived = journey.end.where if journey.end.kind == DELIVERED else ""
        yield port.node, port.device, frame.data.hex(), said, arrived
