"""Decide which clauses of rules the probes of a comparison exercise on both sides: matching and not matching."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from testbed.behaviour.changed import ListedLine
from testbed.behaviour.probes import Probe
from testbed.rules import clauses, nft_clauses
from testbed.rules.clauses import Clause, target_of
from testbed.rules.ruleset import AnyRuleset
from testbed.rules.syntax import NFTABLES
from testbed.topology import Topology

_STATES = {"NEW", "ESTABLISHED", "RELATED", "INVALID"}
_PROTOCOLS = {"tcp", "udp", "icmp", "icmpv6", "ipv6-icmp", "all", "6", "17", "1", "58", "0"}
_ECHOES = {"8", "8/0", "echo-request", "0", "0/0", "echo-reply", "128", "129", "128/0", "129/0", "any", "255"}
_FIRST_OF_A_CONNECTION = ("FIN,SYN,RST,ACK", "SYN")
_NO_OPTION = {"tcp", "udp", "icmp", "icmp6", "comment"}  # matches without a condition of their own
_PORT = re.compile(r"[1-9]\d*")
_COUNTING = {"limit", "hashlimit", "recent", "connlimit", "quota", "statistic", "connbytes", "nth", "random", "rateest"}
_COUNTING_NATIVE = re.compile(
    r"\blimit rate\b|\bquota\b|\bnumgen\b|\bct count\b|\bmeta random\b|\b(?:add|update|delete) @|\bjhash\b"
)
_HARMLESS = {"ACCEPT", "DROP", "RETURN", "REJECT", "LOG", "NFLOG", "TRACE", "AUDIT", "LED"}
_NOT_DECIDING = {"LOG", "NFLOG", "TRACE", "AUDIT", "LED"}
_ONE_PLACE = re.compile(
    r"MASQUERADE|REDIRECT(?: --to-ports \d+)?"
    r"|(?:DNAT --to-destination|SNAT --to-source) (?:\[[\da-f:]+\]|[\da-f:]+|[\d.]+)(?::\d+)?"
)
_BY_CHANCE = re.compile(r"(?:DNAT|SNAT|MASQUERADE|REDIRECT)\b.*(?:[\da-f\]]-[\[\da-f]| --random| --persistent)")
_NATIVE_END = re.compile(
    r"(?:accept|drop|return|continue|(?:jump|goto) \S+|reject(?: with [\w -]+)?|masquerade"
    r"|(?:dnat|snat)(?: ip6?)? to (?:\[[\da-f:]+\]|[\d.]+)(?::\d+)?|redirect(?: to :\d+)?)?"
)
_OF_CONNECTIONS = ("state", "conntrack", "ct")
_NOT_IP = ("netdev", "bridge", "arp")
_LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv4Network("0.0.0.0/0"), IPv6Network("::1/128"), IPv6Network("::/0"))


@dataclass(frozen=True, slots=True)
class Scope:
    """What the probes vary: the host's interfaces, sources, destinations, whole networks, members of ipsets."""

    interfaces: frozenset[str]
    sources: frozenset[str]
    destinations: frozenset[str]
    networks: frozenset[IPv4Network | IPv6Network]
    six: bool = False
    sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def unasked(self, line: ListedLine) -> tuple[str, ...]:
        """Return the clauses of a line that probes do not exercise on both sides; empty if there are none."""
        if line.number is None:
            return () if line.chain and line.syntax is not NFTABLES and line.table != "ipset" else (line.text,)
        if line.syntax is NFTABLES:
            return tuple(self._native(line))
        family = ("packets of IPv6",) if line.table.startswith("ip6 ") and not self.six else ()
        return (*family, *(c.text for c in clauses.clauses(line.spec) if not self._asked(c)), *_target(line))

    def _native(self, line: ListedLine) -> Iterator[str]:
        if line.table.split()[0] in _NOT_IP:
            yield f"table {line.table}"
        found = nft_clauses.clauses(line.spec)
        yield from (clause.text for clause in found if not self._asked(clause))
        end = line.spec[found[-1].end :].strip() if found else line.spec
        if not (found and found[-1].module == "") and not _NATIVE_END.fullmatch(end):
            yield end

    def _asked(self, clause: Clause) -> bool:
        """Return whether probes exist that match a clause, and others that do not."""
        module, option, values = clause.module, clause.option, clause.values
        if not option:
            return module in _NO_OPTION
        match module, option:
            case "", "-i" | "-o":
                return self._interface(values, "+")
            case "meta", "iif" | "oif" | "iifname" | "oifname":
                return self._interface(values, "*")
            case ("", "-p") | ("meta", "l4proto") | ("ip", "protocol") | ("conntrack", "--ctproto"):
                return not clause.negated and set(values) <= _PROTOCOLS and (self.six or not {"58"} & set(values))
            case ("", "-s") | ("conntrack", "--ctorigsrc") | ("ip" | "ip6", "saddr"):
                return all(self._address(value, self.sources) for value in values)
            case ("", "-d") | ("conntrack", "--ctorigdst") | ("ip" | "ip6", "daddr"):
                return all(self._address(value, self.destinations) for value in values)
            case (_, "--dport" | "--dports" | "dport") | ("conntrack", "--ctorigdstport"):
                return all(_PORT.fullmatch(part) for value in values for part in re.split("[,:-]", value) if part) and (
                    not any(value.startswith((":", "-")) for value in values)
                )
            case ("conntrack", "--ctstate") | ("state", "--state") | ("ct", "state"):
                return {state.upper() for value in values for state in value.split(",")} <= _STATES
            case ("icmp", "--icmp-type" | "type") | ("icmp6", "--icmpv6-type") | ("icmpv6", "type"):
                return set(values) <= _ECHOES
            case ("tcp", "--syn"):
                return True
            case ("tcp", "--tcp-flags"):
                return values == _FIRST_OF_A_CONNECTION
            case ("addrtype", "--dst-type" | "--src-type") | ("fib", "daddr type" | "saddr type"):
                return [value.upper() for value in values] == ["LOCAL"]
            case ("set", "--match-set"):
                return self._members(values)
        return False

    def _interface(self, values: Iterable[str], wildcard: str) -> bool:
        return all(
            any(own.startswith(value[:-1]) if value.endswith(wildcard) else own == value for own in self.interfaces)
            for value in values
        )

    def _address(self, text: str, known: frozenset[str]) -> bool:
        """Return whether the text is a single address of the probes, or a network that a node of the bed represents."""
        try:
            prefix = ip_network(text)
        except ValueError:
            return False
        return prefix in self.networks or (
            prefix.prefixlen == prefix.max_prefixlen and str(prefix.network_address) in known
        )

    def _members(self, values: tuple[str, ...]) -> bool:
        """Return whether probes cover all members of a set: networks of the bed, or single addresses."""
        name, ways = (*values, "", "")[:2]
        known = {"src": self.sources, "dst": self.destinations}.get(ways)
        members = self.sets.get(name)
        return known is not None and members is not None and all(self._address(one, known) for one in members)


def scope(topology: Topology, probes: Iterable[Probe], ruleset: AnyRuleset) -> Scope:
    """Return what these probes vary on a bed with that rule set."""
    asked = tuple(probes)
    host = topology.node(topology.host)
    origins = {probe.origin for probe in asked}
    nodes = [node for node in topology.nodes if node.name in origins]
    here = (address.network for node in (*nodes, host) for address in node.addresses)
    return Scope(
        frozenset({"lo", *(device.name for device in host.devices)}),
        frozenset(str(address.ip) for node in nodes for address in node.addresses),
        frozenset(probe.address for probe in asked),
        frozenset((*here, *_LOOPBACK)),
        any(":" in probe.address for probe in asked),
        _sets(ruleset.sets),
    )


def asks_for_state(line: ListedLine) -> bool:
    """Return whether a rule matches a connection's state: not every packet of a connection is a probe."""
    return any(clause.module in _OF_CONNECTIONS for clause in line.syntax.clauses(line.spec))


def counts(line: ListedLine) -> bool:
    """Return whether a rule decides by chance, time or memory: two equal packets may have different outcomes."""
    if line.number is None:
        return False
    if line.syntax is NFTABLES:
        return bool(_COUNTING_NATIVE.search(line.spec))
    target = target_of(line.spec)
    if target is None or target.name in _NOT_DECIDING:
        return False
    return any(clause.module in _COUNTING for clause in clauses.clauses(line.spec)) or bool(
        _BY_CHANCE.match(target.text)
    )


def counted(line: ListedLine) -> str:
    """Return the clauses by which a rule counts, or its target, as text."""
    if line.syntax is NFTABLES:
        return line.spec
    found = [clause.text for clause in clauses.clauses(line.spec) if clause.module in _COUNTING]
    target = target_of(line.spec)
    return " ".join(found) or (target.text if target is not None else "")


def _target(line: ListedLine) -> Iterator[str]:
    """Yield a target that no outcome shows: a mark, a changed field, a queue, one of several destinations."""
    target = target_of(line.spec)
    if target is None or line.leads or target.name in _HARMLESS or _ONE_PLACE.fullmatch(target.text):
        return
    yield f"-j {target.text}"


def _sets(dump: str) -> dict[str, tuple[str, ...]]:
    """Return the members of each ipset in the output of `ipset save`."""
    found: dict[str, list[str]] = {}
    for words in (line.split() for line in dump.splitlines()):
        if words[:1] == ["create"]:
            found[words[1]] = []
        elif words[:1] == ["add"]:
            found.setdefault(words[1], []).append(words[2])
    return {name: tuple(members) for name, members in found.items()}
