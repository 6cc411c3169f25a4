"""Rules as an analysis walks them, whatever their syntax: what they ask, in clauses, and what they do, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from testbed.rules.clauses import Clause
from testbed.rules.reference import RuleReference


class Verdict(Enum):
    """How a rule or a policy ends a packet's way through a chain."""

    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"
    ANSWER = "answer"  # the host answers the packet itself and passes nothing on (SYNPROXY)


class Manip(Enum):
    """Which end of a packet a translation changes."""

    SOURCE = "snat"
    DESTINATION = "dnat"


class To(Enum):
    """Where a translation takes its new address from."""

    GIVEN = "given"
    OWN = "own"  # the address of the interface: MASQUERADE, REDIRECT
    NETWORK = "network"  # the host part stays: NETMAP


@dataclass(frozen=True, slots=True)
class Decide:
    """End the way through the base chain; `answer` is what is sent back to the sender."""

    verdict: Verdict
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Return:
    """Go back to the chain that jumped here."""


@dataclass(frozen=True, slots=True)
class Jump:
    """Go through another chain; with `goto` its end is the end of this one."""

    chain: str
    goto: bool = False


@dataclass(frozen=True, slots=True)
class Translate:
    """Bind the connection to other addresses or ports, and end the way through the base chain."""

    manip: Manip
    to: To
    low: IPv4Address | IPv6Address | None = None
    high: IPv4Address | IPv6Address | None = None
    ports: tuple[int, int] | None = None
    network: IPv4Network | IPv6Network | None = None
    random: bool = False


@dataclass(frozen=True, slots=True)
class Assign:
    """Change a field of the packet: the bits of `mask` are cleared, then those of `value` are flipped or set."""

    field: str
    value: int
    mask: int = -1
    flip: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy the bits of a mask from one mark to the other."""

    source: str
    target: str
    mask: int = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Add:
    """Add to a field, which stays within its bits."""

    field: str
    amount: int


@dataclass(frozen=True, slots=True)
class Notrack:
    """Keep connection tracking from the packet."""


@dataclass(frozen=True, slots=True)
class Note:
    """Do something that changes neither the packet nor its way: a log, a copy, a set; `text` says what."""

    text: str


@dataclass(frozen=True, slots=True)
class Unmodelled:
    """Do something whose effect on the packet the model does not know; `text` names it."""

    text: str


Action = Decide | Return | Jump | Translate | Assign | Copy | Add | Notrack | Note | Unmodelled


@dataclass(frozen=True, slots=True)
class AnalysedRule:
    """A rule: the clauses it asks, then what it does in this order."""

    reference: RuleReference
    clauses: tuple[Clause, ...]
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class AnalysedChain:
    """A chain; `hook` is empty for one that only rules lead to, `versions` are those of IP whose packets it sees."""

    table: str
    name: str
    rules: tuple[AnalysedRule, ...]
    policy: RuleReference
    accepts: bool = True
    hook: str = ""
    priority: int = 0
    translates: bool = False
    versions: tuple[int, ...] = (4, 6)


NativeSets = tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], ...]  # elements by table and name


@dataclass(frozen=True, slots=True)
class Program:
    """All chains of a rule set; `native` is whether they are of nftables' own syntax. `sets` are ipsets.

    `tracks`: whether connection tracking is on. `unmodelled` names what no packet of the model meets (ingress hooks).
    """

    chains: tuple[AnalysedChain, ...]
    sets: str = ""
    native_sets: NativeSets = ()
    native: bool = False
    tracks: bool = True
    unmodelled: tuple[str, ...] = ()
