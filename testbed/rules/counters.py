"""The packets and bytes that a rule or a policy counted."""

from __future__ import annotations

import re
from dataclasses import dataclass

PATTERN = re.compile(r"\[(\d+):(\d+)\]")


@dataclass(frozen=True, slots=True, order=True)
class Counters:
    """Packets, and bytes of their IP packets (headers included, link layer not), as `iptables-save -c` counts."""

    packets: int = 0
    bytes: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(self.packets + other.packets, self.bytes + other.bytes)

    def __sub__(self, before: Counters) -> Counters:
        return Counters(self.packets - before.packets, self.bytes - before.bytes)

    def __str__(self) -> str:
        return f"[{self.packets}:{self.bytes}]"

    @classmethod
    def parse(cls, text: str) -> Counters | None:
        """Return the counters in `[packets:bytes]`, or None for another text."""
        match = PATTERN.fullmatch(text)
        return cls(int(match[1]), int(match[2])) if match else None


ZERO = Counters()
