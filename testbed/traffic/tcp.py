"""The TCP of a client's operating system: options, window and TTL of its packets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Stack:
    """The TCP characteristics of a client's operating system: the options of its SYN, its window, its TTL.

    With `timestamps` every packet carries them (12 bytes), also the server's packets.
    """

    name: str
    ttl: int
    window: int
    timestamps: bool

    def options(self, syn: bool, stamp: int, echo: int) -> list[tuple[str, Any]]:
        """Return the options of a packet, in the order of that system."""
        if not syn:
            return [("NOP", None), ("NOP", None), ("Timestamp", (stamp, echo))] if self.timestamps else []
        if self.timestamps:
            return [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (stamp, echo)), ("NOP", None), ("WScale", 7)]
        return [("MSS", 1460), ("NOP", None), ("WScale", 8), ("NOP", None), ("NOP", None), ("SAckOK", b"")]


WINDOWS = Stack("windows", ttl=128, window=64240, timestamps=False)  # SYN of 52 bytes, ACK of 40
LINUX = Stack("linux", ttl=64, window=64240, timestamps=True)  # SYN of 60 bytes, ACK of 52
STACKS = {stack.name: stack for stack in (WINDOWS, LINUX)}
