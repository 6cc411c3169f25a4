"""The smallest rule that closes a violation, tried over all packets: it changes nothing that the spec allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, summarize_address_range

from testbed.analysis.describe import Term
from testbed.analysis.packets import TCP, UDP
from testbed.analysis.space import empty
from testbed.errors import TestbedError
from testbed.exposure.cells import ExposureCell
from testbed.exposure.columns import ColumnKind
from testbed.exposure.spec.check import SpecCheck, Violation, ViolationKind
from testbed.exposure.spec.entries import SpecSection
from testbed.rules import AnyRuleset, NftRuleset
from testbed.rules.ruleset import IPV6
from testbed.rules.syntax import NFTABLES

_NAMES = {TCP: "tcp", UDP: "udp"}
_USER_CHAIN = "DOCKER-USER"
_MOST = 60  # candidates that are tried
_CLOSABLE = (ViolationKind.OPEN, ViolationKind.DENIED, ViolationKind.OUTGOING)


@dataclass(frozen=True, slots=True)
class Clauses:
    """What a packet has to be to be dropped, in both syntaxes; packets from `spared` go on, which takes a rule each."""

    iptables: tuple[str, ...]
    nft: tuple[str, ...]
    spared: tuple[str, ...] = ()

    def __add__(self, other: Clauses) -> Clauses:
        spared = (*self.spared, *other.spared)
        return Clauses((*self.iptables, *other.iptables), (*self.nft, *other.nft), spared)


@dataclass(frozen=True, slots=True)
class ClosingRules:
    """Rules that go to the head of a chain, in this order; `table` is empty for a table of nftables of its own."""

    table: str
    chain: str
    rules: tuple[str, ...]

    def applied(self, rules: AnyRuleset) -> AnyRuleset:
        """Return a rule set with these rules in it."""
        if (found := rules.as_iptables) is None:
            return NftRuleset(f"{rules.text.rstrip()}\n{self.own_table}\n", rules.source, rules.origin)
        for rule in reversed(self.rules):
            found = found.insert(self.table, self.chain, rule)
        return found

    @property
    def own_table(self) -> str:
        """Return the rules as a table of nftables of their own, which is asked before the engine's."""
        hook = self.chain.lower()
        body = "".join(f"\t\t{rule}\n" for rule in self.rules)
        head = f"\t\ttype filter hook {hook} priority filter - 1; policy accept;\n"
        return f"table inet exposure-{hook} {{\n\tchain {hook} {{\n{head}{body}\t}}\n}}"


def proposal(check: SpecCheck, violation: Violation) -> ClosingRules | None:
    """Return the smallest proposal that closes a violation and keeps all that is allowed; None where none was found."""
    if violation.kind not in _CLOSABLE or violation.cell is None or violation.cell.witness is None:
        return None
    candidates = (own for number, own in enumerate(_candidates(check, violation.cell)) if number < _MOST)
    return next((own for own in candidates if _closes(check, violation, own)), None)


def _closes(check: SpecCheck, violation: Violation, proposed: ClosingRules) -> bool:
    """Return whether a proposal closes a violation and changes no packet that the spec allows."""
    try:
        rules = proposed.applied(check.stand.rules)
    except TestbedError:  # the rule set has no such chain
        return False
    changed = check.with_rules(replace(check.stand, rules=rules))
    if violation.kind is ViolationKind.OUTGOING:
        _, column, version = violation.key
        key = "outside", column, version
        if not empty(changed.going_out[key] & ~check.going_out_allowed(key)):
            return False
    elif not empty(changed.breaking(violation.key)):
        return False
    kept = all(
        changed.getting_in[key] & check.permitted[key] == packets & check.permitted[key]
        for key, packets in check.getting_in.items()
    )
    return kept and all(
        changed.going_out[key] & check.going_out_allowed(key) == packets & check.going_out_allowed(key)
        for key, packets in check.going_out.items()
    )


def _candidates(check: SpecCheck, cell: ExposureCell) -> Iterator[ClosingRules]:
    """Yield rules that may close a cell, those with the fewest clauses first."""
    chains = list(_chains(check.stand.rules, cell))
    narrowed = sorted(_narrowed(check, cell), key=_size)
    for clauses in narrowed:
        for table, chain in chains:
            yield ClosingRules(table, chain, tuple(_rules(check.stand.rules, clauses)))


def _rules(rules: AnyRuleset, clauses: Clauses) -> Iterator[str]:
    if rules.syntax is NFTABLES:
        yield " ".join((*clauses.nft, "counter drop"))
        return
    first, *rest = clauses.iptables or ("",)
    for prefix in clauses.spared:
        yield " ".join(word for word in (first, f"-s {prefix}", *rest, "-j RETURN") if word)
    yield " ".join((*clauses.iptables, "-j DROP"))


def _size(clauses: Clauses) -> tuple[int, int, int]:
    return len(clauses.spared), len(clauses.iptables), len(" ".join(clauses.iptables))


def _chains(rules: AnyRuleset, cell: ExposureCell) -> Iterator[tuple[str, str]]:
    """Yield the chains that a packet of a cell goes through, that of the users first."""
    local = (cell.by is not None and cell.by.chain == "INPUT") or cell.row.on_host
    hooks = (
        ["OUTPUT"] if cell.column.kind is ColumnKind.HOST else ["INPUT", "FORWARD"] if local else ["FORWARD", "INPUT"]
    )
    if (found := rules.as_iptables) is None:
        yield from (("", hook) for hook in hooks)
        return
    table = f"{IPV6}filter" if cell.version == 6 else "filter"
    chains = {chain.name for own in found.tables if own.name == table for chain in own.chains}
    for hook in hooks:
        if hook == "FORWARD" and _USER_CHAIN in chains:
            yield table, _USER_CHAIN
        yield table, hook


def _narrowed(check: SpecCheck, cell: ExposureCell) -> Iterator[Clauses]:
    """Yield sets of clauses for a cell: its service at the end of the way, as it was asked, and who asks."""
    entered = cell.column.origin.entered
    where = Clauses((f"-i {entered}",), (f'iifname "{entered}"',)) if entered else Clauses((), ())
    senders = list(_senders(check, cell))
    for service in _services(cell):
        for sender in senders:
            yield where + sender + service
            yield where + sender + service + Clauses(("-m conntrack --ctstate NEW",), ("ct state new",))


def _services(cell: ExposureCell) -> Iterator[Clauses]:
    """Yield the clauses of what is reached: the container's address and port, the host's port, or what was asked."""
    row, version = cell.row, cell.version
    family = "ip6" if version == 6 else "ip"
    protocol = f"-p {row.protocol} -m {row.protocol}" if row.port is not None else ""
    if row.node == "internet":
        return (yield Clauses((), ()))
    for place in row.own:
        for address in place.addresses:
            if address.version == version:
                to = Clauses((f"-d {address.network_address}",), (f"{family} daddr {address.network_address}",))
                port = Clauses((f"{protocol} --dport {row.port}",), (f"{row.protocol} dport {row.port}",))
                yield to + port if row.port is not None else to
                if row.port is None:
                    yield from (to + other for other in _other_ports(cell))
    ports = {place.ports[0][0] for place in row.target.ways if place not in row.own and row.port is not None}
    for host_port in sorted(ports):
        yield Clauses((f"{protocol} --dport {host_port}",), (f"{row.protocol} dport {host_port}",))
        asked = f"{protocol} -m conntrack --ctorigdstport {host_port}"
        yield Clauses((asked,), (f"meta l4proto {row.protocol}", f"ct original proto-dst {host_port}"))
    if row.on_host and row.port is None:
        yield Clauses((), ())


def _other_ports(cell: ExposureCell) -> Iterator[Clauses]:
    """Yield the ports of a node that are no service of it, by what is left out."""
    for number, name in _NAMES.items():
        spans = [place.ports for place in cell.row.own if number in place.protocols]
        left_out = [low - 1 for low, _ in (spans[0] if spans else ()) if low > 1]
        if left_out:
            listed = ",".join(map(str, left_out))
            yield Clauses(
                (f"-p {name} -m multiport ! --dports {listed}",),
                (f"{name} dport != {{ {listed.replace(',', ', ')} }}",),
            )


def _senders(check: SpecCheck, cell: ExposureCell) -> Iterator[Clauses]:
    """Yield clauses about the sender: none, the sources of the violation, or all but those of the LAN."""
    family = "ip6" if cell.version == 6 else "ip"
    yield Clauses((), ())
    for term in cell.terms:
        if term.field == "source" and term.spans is not None:
            yield from (_source(family, prefix, negated=term.negated) for prefix in _prefixes(term))
    if cell.column.kind is ColumnKind.INTERNET:
        lans = [column.origin for column in check.columns if column.kind is ColumnKind.LAN]
        for lan in lans:
            for prefix in lan.sources:
                if prefix.version == cell.version:
                    yield _source(family, str(prefix), negated=True)
    spared = list(_spared(check, cell))
    if spared:
        yield Clauses((), (f"{family} saddr != {{ {', '.join(spared)} }}",), tuple(spared))
    if cell.column.kind in (ColumnKind.LAN, ColumnKind.DIRECT, ColumnKind.NETWORK):
        for prefix in cell.column.origin.sources:
            if prefix.version == cell.version:
                yield _source(family, str(prefix), negated=False)


def _spared(check: SpecCheck, cell: ExposureCell) -> Iterator[str]:
    """Yield the prefixes from which the spec allows what a cell is about, those of LANs among them."""
    for resolved in check.entries:
        if resolved.entry.section is SpecSection.DENY or not any(what.covers(cell.row) for what in resolved.what):
            continue
        for who in resolved.who:
            columns = [own for own in check.columns if own.kind is ColumnKind.LAN and own.kind in who.kinds]
            for prefix in (*who.sources, *(prefix for column in columns for prefix in column.origin.sources)):
                if prefix.version == cell.version:
                    yield str(prefix)


def _source(family: str, prefix: str, negated: bool) -> Clauses:
    if negated:
        return Clauses((f"! -s {prefix}",), (f"{family} saddr != {prefix}",))
    return Clauses((f"-s {prefix}",), (f"{family} saddr {prefix}",))


def _prefixes(term: Term) -> Sequence[str]:
    """Return the prefixes of a term, if they are few."""
    found: list[str] = []
    for low, high in term.spans or ():
        if term.width == 32:
            found += [str(own) for own in summarize_address_range(IPv4Address(low), IPv4Address(high))]
        else:
            found += [str(own) for own in summarize_address_range(IPv6Address(low), IPv6Address(high))]
    return found if len(found) == 1 else ()
