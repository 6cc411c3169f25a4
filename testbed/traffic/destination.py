"""A destination address and port in a caller's notation: `host:80`, `192.168.66.100:80`, `[fd00::1]:80`, a pair."""

from __future__ import annotations

import re
from ipaddress import ip_address

from testbed.errors import TestbedError
from testbed.topology import Topology

LAST_PORT = 65535
_TEXT = re.compile(
    r"\[(?P<six>[0-9a-fA-F:]+)\](?::(?P<port6>\d+))?|(?P<place>[^:\[\]]+)(?::(?P<port>\d+))?|(?P<bare>.+)"
)
Destination = str | tuple[str, int | str]


def read(text: str, topology: Topology) -> tuple[str, int]:
    """Return the address and the port (0: none) of `ADDRESS:PORT`, `[IPV6]:PORT`, `NODE:PORT` or the host's `:PORT`.

    Raises TestbedError for any other text.
    """
    found = _TEXT.fullmatch(f"{topology.host}{text}" if re.fullmatch(r":[0-9]+", text) else text)
    place = found and (found["six"] or found["place"] or found["bare"])
    digits = found and (found["port6"] or found["port"])
    return _address(place or "", text, topology), port_number(int(digits or 0))


def pair(to: Destination, topology: Topology) -> tuple[str, int]:
    """Return the address and the port of a destination written as text or as (address or node, port).

    Raises TestbedError for anything else, for a text without a port, and for a port out of range.
    """
    if isinstance(to, str):
        address, port = read(to, topology)
        if not port:
            raise TestbedError(f"{to!r} has no port to connect to.", "Write it as ADDRESS:PORT or NODE:PORT.")
        return address, port
    if not (isinstance(to, tuple) and len(to) == 2 and isinstance(to[0], str)):
        raise TestbedError(f"{to!r} is no destination.", 'Give "host:80", "192.0.2.1:80" or (address, port).')
    return _address(to[0], to[0], topology), port_number(to[1])


def router(via: str, sender: str, topology: Topology) -> str:
    """Return the address of a router that is written as its address or as a node.

    Of a node's addresses it is one on a network of the sender's. Raises TestbedError for any other text.
    """
    if via not in [node.name for node in topology.nodes]:
        return _address(via, via, topology)
    beside = [own.network for own in topology.node(sender).addresses]
    shared = [own.ip for own in topology.node(via).addresses if own.network in beside]
    return str(shared[0] if shared else topology.node(via).address)


def port_number(value: object) -> int:
    """Return a port from a number or its digits; raises TestbedError unless it is a number from 0 to 65535."""
    digits = isinstance(value, str) and value.isascii() and value.isdigit()
    if isinstance(value, bool) or not (isinstance(value, int) or digits) or not 0 <= int(str(value)) <= LAST_PORT:
        raise TestbedError(f"{value!r} is no port.", f"Give a number from 0 to {LAST_PORT}.")
    return int(str(value))


def _address(place: str, text: str, topology: Topology) -> str:
    if place in [node.name for node in topology.nodes]:
        return str(topology.node(place).address)
    try:
        return str(ip_address(place))
    except ValueError as error:
        known = ", ".join(node.name for node in topology.nodes if node.addresses)
        raise TestbedError(
            f"{text} is no address and no node of this bed.",
            f"Give ADDRESS:PORT, [IPV6]:PORT, or one of {known} and a port.",
        ) from error
