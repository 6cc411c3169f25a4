"""Edits of a rule's target: another verdict, another chain, another translation or mark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, ip_address

from testbed.behaviour.mutants import rewrite
from testbed.behaviour.mutants.edits import Rewritten
from testbed.behaviour.mutants.site import Site
from testbed.rules.clauses import Target, target_of
from testbed.rules.ruleset import BUILT_IN_CHAINS

Made = tuple[str, Rewritten]  # operator, edit
_FLIPS = {"ACCEPT": ("DROP",), "DROP": ("ACCEPT", "RETURN"), "REJECT": ("DROP", "ACCEPT"), "RETURN": ("ACCEPT", "DROP")}
_UNUSED = {False: "192.0.2.1", True: "2001:db8::1"}  # for documentation only (RFC 5737, RFC 3849)
_LAST_PORT = 65535
_TO = re.compile(
    r"--to-destination (?:\[(?P<six>[^]]+)\]|(?P<four>[\d.]+)|(?P<bare>[\da-f:]+))(?::(?P<port>\d+))?(?=\s|$)"
)
_MARK = re.compile(r"(?:--set-mark|--set-xmark) (?P<mark>(?P<value>\w+)(?:/(?P<mask>\w+))?)")


def made(site: Site) -> Iterator[Made]:
    """Yield the default edits of targets."""
    target = site.target
    if target is None:
        return
    for verdict in _FLIPS.get(target.name, ()):
        yield "verdict", _with(site, target, verdict)
    if target.name == "DNAT":
        yield from _destinations(site, target)
    if target.name == "MASQUERADE":
        yield "masquerade", _without(site, target)
        yield "masquerade", _with(site, target, f"SNAT --to-source {_UNUSED[site.of_ipv6]}")
    if target.name == "SNAT":
        yield "masquerade", _with(site, target, "MASQUERADE")


def made_strong(site: Site) -> Iterator[Made]:
    """Yield the additional edits of jumps and marks."""
    target = site.target
    if target is None:
        return
    if target.name in site.wiring.chains:
        yield from _jumps(site, target)
    for found in _MARK.finditer(target.text):
        yield from _marks(site, target, found)


def _with(site: Site, target: Target, text: str) -> Rewritten:
    return Rewritten(site.chain, (rewrite.with_target(site.spec, target, text),))


def _without(site: Site, target: Target) -> Rewritten:
    return Rewritten(site.chain, (rewrite.without_target(site.spec, target),))


def _destinations(site: Site, target: Target) -> Iterator[Made]:
    """Yield the next port, no port, the next address, or that of another translation."""
    to = _Destination.of(target.text)
    if to is None:
        return
    others = [*_other_ports(to)]
    others += [_Destination(address, to.port) for address in _addresses(site, to)]
    for other in others:
        spec = rewrite.with_target(site.spec, target, target.text.replace(str(to), str(other)))
        yield "target", Rewritten(site.chain, (spec,))


@dataclass(frozen=True, slots=True)
class _Destination:
    """The destination of a DNAT: one address, optionally with one port."""

    address: str
    port: str = ""

    @classmethod
    def of(cls, text: str) -> _Destination | None:
        """Return the destination in a target's text; None for other forms (a range, several)."""
        found = _TO.search(text)
        return cls(found["six"] or found["four"] or found["bare"], found["port"] or "") if found else None

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address and self.port else self.address
        return f"{address}:{self.port}" if self.port else address


def _other_ports(to: _Destination) -> Iterator[_Destination]:
    if to.port:
        yield _Destination(to.address, str(int(to.port) % _LAST_PORT + 1))
        yield _Destination(to.address)


def _addresses(site: Site, to: _Destination) -> list[str]:
    """Return the next address, and the first other address that a rule translates to."""
    targets = (target_of(rule.spec) for table, rule in site.rules.rules if table.name == site.place.table)
    known = (_Destination.of(target.text) for target in targets if target is not None and target.name == "DNAT")
    another = [other.address for other in known if other is not None and other.address != to.address]
    try:
        return list(dict.fromkeys([str(ip_address(to.address) + 1), *another[:1]]))
    except (AddressValueError, ValueError):
        return another[:1]


def _jumps(site: Site, target: Target) -> Iterator[Made]:
    """Yield a goto instead of a jump, and a jump to another chain."""
    if target.verb == "jump" and target.text == target.name:
        spec = rewrite.with_verb(site.spec, target, "-g")
        yield "jump", Rewritten(site.chain, (spec,))
    sibling = _sibling(site, target)
    if sibling:
        yield "jump", _with(site, target, sibling)


def _sibling(site: Site, target: Target) -> str:
    """Return the next user-defined chain after the jump's that does not lead back here; '' for none."""
    own = [c.name for c in site.wiring.table.chains if c.name not in BUILT_IN_CHAINS]
    after = own.index(target.name) + 1 if target.name in own else 0
    possible = (name for name in own[after:] + own[:after] if name != target.name)
    return next((name for name in possible if site.chain not in site.wiring.below(name)), "")


def _marks(site: Site, target: Target, found: re.Match[str]) -> Iterator[Made]:
    """Yield the next mark, and the same mark with half of the mask."""
    try:
        value, mask = int(found["value"], 0), int(found["mask"] or "0xffffffff", 0)
    except ValueError:
        return
    tail = f"/{found['mask']}" if found["mask"] else ""
    for text in (f"{value ^ 1:#x}{tail}", f"{value:#x}/{mask & 0xFFFF if mask != 0xFFFF else 0xFF:#x}"):
        written = f"{target.text[: found.start('mark')]}{text}{target.text[found.end('mark') :]}"
        yield "mark", _with(site, target, written)
