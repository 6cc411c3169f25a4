"""The names of ICMP types in iptables and nft, as `type` or `type/code`."""

from __future__ import annotations

from testbed.rules.values import Answer, equal

NAMES = {
    "echo-reply": "0",
    "destination-unreachable": "3",
    "network-unreachable": "3/0",
    "host-unreachable": "3/1",
    "protocol-unreachable": "3/2",
    "port-unreachable": "3/3",
    "fragmentation-needed": "3/4",
    "source-quench": "4",
    "redirect": "5",
    "echo-request": "8",
    "router-advertisement": "9",
    "router-solicitation": "10",
    "time-exceeded": "11",
    "ttl-zero-during-transit": "11/0",
    "parameter-problem": "12",
    "timestamp-request": "13",
    "timestamp-reply": "14",
}
NAMES6 = {
    "destination-unreachable": "1",
    "no-route": "1/0",
    "address-unreachable": "1/3",
    "port-unreachable": "1/4",
    "packet-too-big": "2",
    "time-exceeded": "3",
    "parameter-problem": "4",
    "echo-request": "128",
    "echo-reply": "129",
    "router-solicitation": "133",
    "router-advertisement": "134",
    "neighbour-solicitation": "135",
    "neighbor-solicitation": "135",
    "neighbour-advertisement": "136",
    "neighbor-advertisement": "136",
    "redirect": "137",
    "nd-router-solicit": "133",
    "nd-router-advert": "134",
    "nd-neighbor-solicit": "135",
    "nd-neighbor-advert": "136",
    "nd-redirect": "137",
}


def is_kind(message: tuple[int, int], kind: str) -> Answer:
    """Return whether a message has a type `type` or `type/code`, in numbers."""
    wanted, _, code = kind.partition("/")
    same = equal(message[0], wanted)
    return same and equal(message[1], code) if code else same
