"""Interfaces, subnets and ipsets that rules name and a bed may lack: they are added, or a warning names them.

A bridge that rules tie to a subnet (libvirt's virbr0, another Docker network) is added with an address in it. So
packets for the subnet take the same path as on the rules' own host. No node is behind the bridge. For an interface that
only leads outside (eth0, if the bed has ens33), a warning says that no packet passes it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Interface, IPv4Network, ip_network

from testbed.errors import RulesError
from testbed.rules.clauses import Clause, clauses
from testbed.rules.ruleset import AnyRuleset
from testbed.rules.syntax import NFTABLES
from testbed.topology import LONGEST_NAME, Bridge, Node, Topology

ENTERING, LEAVING = "comes in by", "leaves by"
_SETS = re.compile(r"--(?:match-set|add-set|del-set|map-set) (\S+)")
_MADE = re.compile(r"^create (\S+) ", re.MULTILINE)
_INTERFACES = {"-i": ENTERING, "-o": LEAVING, "--physdev-in": ENTERING, "--physdev-out": LEAVING}
_NATIVE = re.compile(r'\b(?P<way>[io]if)(?P<name>name)? (?P<not>!= )?(?:vmap )?(?P<what>\{[^}]*\}|"[^"]+")')
_BEHIND = re.compile(  # a subnet that nftables rules tie to an interface: source, destination, own
    r'iif(?:name)? "([^"]+)" ip saddr ([\d./]+)|oif(?:name)? "([^"]+)" ip daddr ([\d./]+)'
    r'|oif(?:name)? != "([^"]+)" ip saddr ([\d./]+) (?=.*masquerade)'
)
_OWN = re.compile(r'ip saddr ([\d./]+) oif(?:name)? != "([^"]+)" .*masquerade')
_NATIVE_PREFIX = re.compile(r"\bip [sd]addr (?:!= )?(\{[^}]*\}|[\d./]+)")
_OUTWARD = re.compile(r"(?:eth|en|em|wl|ww|bond|ppp|venet|team)")  # common names of interfaces to a LAN or the internet
_MAC = "02:00:00:00:f0:{:02x}"
_MAX_LISTED = 4  # names listed of each kind
_NOT_OF_A_NODE = [IPv4Network(text) for text in ("127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "0.0.0.0/32")]
_WIDEST, _NARROWEST = 8, 30  # prefix lengths of subnets that a bridge may have


@dataclass(frozen=True, slots=True)
class Mention:
    """An interface in a clause; + or * at the end is a wildcard.

    `way` is ENTERING or LEAVING. `subnet` is the subnet that the rule places behind it. `by_index` says that the
    interface must exist when the rules are loaded (nftables' iif and oif).
    """

    name: str
    way: str
    negated: bool = False
    subnet: IPv4Network | None = None
    by_index: bool = False

    def is_one_of(self, names: Collection[str]) -> bool:
        """Return whether the mention matches one of these interfaces."""
        if self.name.endswith(("+", "*")):
            return any(name.startswith(self.name[:-1]) for name in names)
        return self.name in names


def is_outward(name: str) -> bool:
    """Return whether this is a common name of an interface to a LAN or the internet."""
    return bool(_OUTWARD.match(name))


def mentions(ruleset: AnyRuleset) -> list[Mention]:
    """Return every interface in a clause, each mention once, in the order of the rules."""
    return list(_mentions(ruleset))


@lru_cache(maxsize=2)
def _mentions(ruleset: AnyRuleset) -> tuple[Mention, ...]:
    if (iptables := ruleset.as_iptables) is None:
        return tuple(dict.fromkeys(_native(ruleset.text)))
    found = (mention for _, rule in iptables.rules for mention in _of_rule(clauses(rule.spec), rule.spec))
    return tuple(dict.fromkeys(found))


def with_missing_bridges(topology: Topology, rulesets: Sequence[AnyRuleset]) -> Topology:
    """Return the topology with a bridge in the host for each missing interface that can be made."""
    made = _made(topology, rulesets)
    nodes = (
        replace(node, bridges=(*node.bridges, *made)) if node.name == topology.host else node for node in topology.nodes
    )
    return replace(topology, nodes=tuple(nodes)) if made else topology


def warnings(topology: Topology, rulesets: Sequence[AnyRuleset]) -> list[str]:
    """Return warnings about names in rules that the bed lacks; `topology` has no added bridges yet."""
    made = _made(topology, rulesets)
    said = [
        f"{bridge.name} is made{f' with {address}' if address else ''}, as rules name it; no machine is behind it."
        for bridge in made
        for address in [next(iter(bridge.addresses), None)]
    ]
    named = list(dict.fromkeys(mention for rules in rulesets for mention in mentions(rules)))
    said += _missing(topology.node(topology.host), named, {bridge.name for bridge in made})
    absent = [str(prefix) for prefix in _absent(with_missing_bridges(topology, rulesets), rulesets)]
    return [*said, f"No node has an address in {_some(absent)}, which rules name."] if absent else said


def require_sets(ruleset: AnyRuleset) -> None:
    """Raise RulesError if rules need ipsets that the rule set lacks, before iptables refuses the first."""
    if (iptables := ruleset.as_iptables) is None:
        return
    brought = set(_MADE.findall(ruleset.sets))
    needed = dict.fromkeys(name for _, rule in iptables.rules for name in _SETS.findall(rule.spec))
    if lacking := [name for name in needed if name not in brought]:
        sets = "the ipset" if len(lacking) == 1 else "the ipsets"
        raise RulesError(
            f"{ruleset.source}: rules need {sets} {', '.join(lacking)}, which no dump brings.",
            "Add what `ipset save` prints on that host: behind the rules, or as --rules FILE,SETS.",
        )


def at_load(ruleset: AnyRuleset) -> bool:
    """Return whether interfaces must exist before the rules are loaded, since rules refer to their indexes."""
    return ruleset.syntax is NFTABLES and any(mention.by_index for mention in mentions(ruleset))


def _of_rule(own: Sequence[Clause], spec: str) -> Iterator[Mention]:
    for clause in own:
        if clause.option in _INTERFACES and clause.values:
            way = _INTERFACES[clause.option]
            wanted = "-s" if way == ENTERING or clause.negated else "-d"
            tied = not clause.negated or (clause.option == "-o" and "-j MASQUERADE" in spec)
            subnet = next(
                (_subnet(o.values[0]) for o in own if o.option == wanted and not o.negated and o.values), None
            )
            yield Mention(clause.values[0], way, clause.negated, subnet if tied else None)


def _native(text: str) -> Iterator[Mention]:
    pairs = [tuple(filter(None, found)) for found in _BEHIND.findall(text)]
    pairs += [(name, prefix) for prefix, name in _OWN.findall(text)]
    subnets = {name: _subnet(prefix) for name, prefix in pairs}
    for found in _NATIVE.finditer(text):
        way = ENTERING if found["way"] == "iif" else LEAVING
        for name in re.findall(r'"([^"]+)"', found["what"]):
            yield Mention(name, way, bool(found["not"]), subnets.get(name), by_index=not found["name"])


def _subnet(text: str) -> IPv4Network | None:
    """Return the private subnet that a bridge may have, or None."""
    prefix = _prefix(text)
    fits = prefix is not None and prefix.is_private and _WIDEST <= prefix.prefixlen <= _NARROWEST
    return prefix if fits else None


def _prefix(text: str) -> IPv4Network | None:
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        return None
    return found if isinstance(found, IPv4Network) else None


def _made(topology: Topology, rulesets: Sequence[AnyRuleset]) -> tuple[Bridge, ...]:
    """Return the bridges to add: those with a subnet of their own, and those that must exist at loading."""
    present = _present(topology.node(topology.host))
    used = {address.network for node in topology.nodes for address in node.addresses if address.version == 4}
    bridges: dict[str, Bridge] = {}
    addresses: tuple[IPv4Interface, ...] = ()
    named = [mention for rules in rulesets for mention in mentions(rules)]
    for mention in sorted(named, key=lambda mention: mention.subnet is None):
        subnet, name = mention.subnet, mention.name
        if name in bridges or name[-1] in "+*" or len(name) > LONGEST_NAME or mention.is_one_of(present):
            continue
        own = subnet is not None and not _OUTWARD.match(name) and not any(subnet.overlaps(network) for network in used)
        if subnet is not None and own:
            used.add(subnet)
            addresses = (IPv4Interface(f"{subnet[1]}/{subnet.prefixlen}"),)
        elif mention.by_index:
            addresses = ()
        else:
            continue
        bridges[name] = Bridge(name, _MAC.format(len(bridges)), addresses)
    return tuple(bridges.values())


def _present(host: Node) -> frozenset[str]:
    return frozenset(("lo", *(device.name for device in host.devices)))


def _missing(host: Node, named: Iterable[Mention], made: set[str]) -> Iterator[str]:
    """Yield warnings: no packet passes a missing interface; every packet matches its negated clause."""
    present = _present(host) | made
    missing = [mention for mention in named if not mention.is_one_of(present)]
    outside = next((own.name for own in host.interfaces if own.master is None), "")
    for way in (ENTERING, LEAVING):
        for outward in (True, False):
            of_it = [m for m in missing if m.way == way and bool(_OUTWARD.match(m.name)) == outward]
            names = list(dict.fromkeys(mention.name for mention in of_it if not mention.negated))
            why = f"the bed's external interface is {outside}" if outward else "no machine is behind it here"
            if names:
                yield f"No packet {way} {_some(names)}, which rules name: {why}."
            negated = list(dict.fromkeys(mention.name for mention in of_it if mention.negated))
            if negated:
                yield f"Every packet {way} another interface than {_some(negated)}, which rules ask for: {why}."


def _absent(topology: Topology, rulesets: Iterable[AnyRuleset]) -> list[IPv4Network]:
    """Return the prefixes in rules in which no node has an address."""
    known = {own.network for node in topology.nodes for own in node.addresses if isinstance(own.network, IPv4Network)}
    named = (prefix for rules in rulesets for text in _prefixes(rules) if (prefix := _prefix(text)) is not None)
    return [p for p in dict.fromkeys(named) if not any(p.overlaps(one) for one in (*known, *_NOT_OF_A_NODE))]


def _prefixes(ruleset: AnyRuleset) -> Iterator[str]:
    if (iptables := ruleset.as_iptables) is None:
        for found in _NATIVE_PREFIX.findall(ruleset.text):
            yield from re.findall(r"[\d.]+(?:/\d+)?", found)
        return
    for _, rule in iptables.rules:
        for clause in clauses(rule.spec):
            if clause.option in ("-s", "-d"):
                yield from (part for value in clause.values for part in value.split(","))


def _some(names: Sequence[str]) -> str:
    """Return a few names, and the number of the others."""
    rest = len(names) - _MAX_LISTED
    if rest > 0:
        return f"{', '.join(names[:_MAX_LISTED])} and {rest} more"
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
