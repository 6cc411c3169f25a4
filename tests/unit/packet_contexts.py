"""A SYN of the article on its way through FORWARD, as rules match it, and an echo request beside it."""

from __future__ import annotations

from dataclasses import replace

from testbed.rules.packet_context import PacketContext

SYN = PacketContext(
    source="192.168.66.1",
    destination="172.17.0.2",
    protocol="tcp",
    source_port=40000,
    destination_port=80,
    tcp_flags="S",
    entered="ens33",
    left="docker0",
    state="NEW",
    status=frozenset({"DNAT"}),
    mark=0x12,
    ttl=63,
    length=52,
    original=("192.168.66.1", 40000, "192.168.66.100", 8080),
    direction="ORIGINAL",
)


def as_echo(packet: PacketContext) -> PacketContext:
    """Return an echo request with the same addresses."""
    return replace(packet, protocol="icmp", icmp=(8, 0), source_port=None, destination_port=None, tcp_flags=None)
