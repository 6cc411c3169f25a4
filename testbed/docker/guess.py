"""What a host was given because rules name it and no description of the host does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class GuessKind(Enum):
    """Which part of a host was added."""

    IPV6 = "ipv6"
    UPLINK_NAME = "uplink name"
    UPLINK = "uplink"
    ADDRESS = "address"
    TUNNEL = "tunnel"
    NETWORK = "network"
    CONTAINER = "container"
    BRIDGE = "bridge"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Guess:
    """One part that was added: its name, its addresses, where it is, and the part of the rules that asks for it.

    `assumed`: the rules name it, but they do not give its addresses.
    """

    kind: GuessKind
    name: str
    addresses: tuple[str, ...] = ()
    at: str = ""
    because: str = ""
    assumed: bool = False
