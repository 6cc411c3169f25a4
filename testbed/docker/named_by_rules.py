"""What rules name of the host that they were written on: interfaces, addresses, translations, prefixes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, ip_address, ip_network

from testbed.rules import environment
from testbed.rules.clauses import clauses, target_of
from testbed.rules.environment import Mention
from testbed.rules.ruleset import AnyRuleset
from testbed.topology import LONGEST_NAME, Address, Prefix, may_be_a_device

_V4, _V6 = r"\d+\.\d+\.\d+\.\d+", r"[0-9a-fA-F]*:[0-9a-fA-F:.]*"
_TO = re.compile(rf"(?:--to-destination |\bdnat (?:ip6? )?to )(?:({_V4})(?![-\d.])|\[?({_V6})\]?(?![-\w]))")
_FROM = re.compile(rf"(?:--to-source |\bsnat (?:ip6? )?to )(?:({_V4})(?![-\d.])|\[?({_V6})\]?(?![-\w]))")
_PUBLISHED_AT = re.compile(rf"\bip6? daddr ({_V4}|{_V6})(?![/\d.]).*\bdnat\b")
_LEADS_TO = re.compile(rf'\boif(?:name)? "([^"]+)".*\bip6? daddr ({_V4}|{_V6})(?![/\d.])')
_IPV6 = re.compile(r"^\s*(?:add )?table (?:ip6|inet) ", re.MULTILINE)
_NATIVE_PREFIX = re.compile(r"\bip6? [sd]addr (?:!= )?(\{[^}]*\}|\S+)")
_PREFIX = re.compile(r"[0-9a-fA-F:.]+(?:/\d+)?")
_MEMBER = re.compile(r"^add (\S+) ([0-9a-fA-F:.]+(?:/\d+)?)", re.MULTILINE)
_TUNNELS = re.compile(r"(?:wg|tun|tap|tailscale|ppp|ipsec|vti|gre|nordlynx|zt|utun)")
_PORTS_OF_BRIDGES = re.compile(r"(?:veth|vnet|tap|lxc)")
WILDCARDS = ("+", "*")


def has_ipv6(rules: AnyRuleset) -> bool:
    """Return whether there are rules of IPv6."""
    if (iptables := rules.as_iptables) is None:
        return bool(_IPV6.search(rules.text))
    return any(table.of_ipv6 and table.touched for table in iptables.tables)


def mentions(rulesets: Iterable[AnyRuleset]) -> list[Mention]:
    """Return every interface in a clause that may be made, each name once, those that rules tie to a subnet first."""
    found: dict[str, Mention] = {}
    for mention in (own for rules in rulesets for own in environment.mentions(rules)):
        known = found.get(mention.name)
        if known is None or (known.subnet is None and mention.subnet is not None):
            found[mention.name] = mention
    return [own for name, own in found.items() if name.strip("+*") and _may_be_made(concrete(name))]


def _may_be_made(name: str) -> bool:
    return len(name) <= LONGEST_NAME and may_be_a_device(name)


def concrete(name: str) -> str:
    """Return an interface that a name matches: of `eth+` it is `eth0`."""
    return f"{name[:-1]}0" if name.endswith(WILDCARDS) else name


def is_tunnel(name: str) -> bool:
    """Return whether this is a common name of a tunnel's interface."""
    return bool(_TUNNELS.match(name))


def is_uplink(name: str) -> bool:
    """Return whether this is a common name of an interface that leads out."""
    return environment.is_outward(name) and not is_tunnel(name)


def is_bridge_port(name: str) -> bool:
    """Return whether this is a common name of a bridge's port, which has no address."""
    return bool(_PORTS_OF_BRIDGES.match(name))


def targets(rulesets: Iterable[AnyRuleset]) -> list[Address]:
    """Return each address that packets are translated to."""
    return _addresses(_TO, rulesets)


def sources(rulesets: Iterable[AnyRuleset]) -> list[Address]:
    """Return each address under which SNAT rules send packets out."""
    return _addresses(_FROM, rulesets)


def _addresses(pattern: re.Pattern[str], rulesets: Iterable[AnyRuleset]) -> list[Address]:
    found = (four or six for text in _texts(rulesets) for four, six in pattern.findall(text))
    return list(dict.fromkeys(address for text in found for address in _single([text])))


def _texts(rulesets: Iterable[AnyRuleset]) -> Iterator[str]:
    for rules in rulesets:
        iptables = rules.as_iptables
        if iptables is None:
            yield rules.text
        else:
            yield from (rule.spec for _, rule in iptables.rules)


def published_at(rulesets: Iterable[AnyRuleset]) -> list[Address]:
    """Return each address at which rules publish ports, or that rules of INPUT let in."""
    return list(dict.fromkeys(address for rules in rulesets for address in _published_at(rules)))


def _published_at(rules: AnyRuleset) -> Iterator[Address]:
    if (iptables := rules.as_iptables) is None:
        yield from _single(_PUBLISHED_AT.findall(rules.text))
        return
    for table, rule in iptables.rules:
        target = target_of(rule.spec)
        translated = table.name.endswith("nat") and target is not None and target.name == "DNAT"
        if translated or rule.chain == "INPUT":
            asked = (clause for clause in clauses(rule.spec) if clause.option == "-d" and not clause.negated)
            yield from (address for clause in asked for address in _single(clause.values))


def leading_to(rulesets: Iterable[AnyRuleset], address: Address) -> Iterator[str]:
    """Yield the interfaces by which rules say that an address is reached."""
    for rules in rulesets:
        if (iptables := rules.as_iptables) is None:
            yield from (name for name, to in _LEADS_TO.findall(rules.text) if to == str(address))
            continue
        for _, rule in iptables.rules:
            asked = {clause.option: clause for clause in clauses(rule.spec) if not clause.negated}
            if {"-d", "-o"} <= asked.keys() and address in _single(asked["-d"].values):
                yield asked["-o"].values[0]


def prefixes(rulesets: Sequence[AnyRuleset]) -> list[Prefix]:
    """Return each prefix that a clause names as source or destination, and the first address of ranges and ipsets."""
    texts = [text for rules in rulesets for text in _prefixes(rules)]
    for rules in rulesets:
        first: dict[str, str] = {}
        for name, member in _MEMBER.findall(rules.sets):
            first.setdefault(name, member)
        texts += first.values()
    return list(dict.fromkeys(prefix for text in texts if (prefix := _prefix(text)) is not None))


def _prefixes(rules: AnyRuleset) -> Iterator[str]:
    if (iptables := rules.as_iptables) is None:
        for found in _NATIVE_PREFIX.findall(rules.text):
            yield from _PREFIX.findall(found)
        return
    for _, rule in iptables.rules:
        for clause in clauses(rule.spec):
            if clause.option in ("-s", "-d"):
                yield from (part for value in clause.values for part in value.split(","))
            elif clause.option in ("--src-range", "--dst-range") and clause.values:
                yield clause.values[0].partition("-")[0]


def _prefix(text: str) -> Prefix | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _single(values: Iterable[str]) -> list[Address]:
    """The addresses among values, without prefixes."""
    found: list[Address] = []
    for value in values:
        try:
            found.append(ip_address(value.removesuffix("/32").removesuffix("/128")))
        except ValueError:
            continue
    return found


def private(prefix: Prefix | None) -> IPv4Network | None:
    """Return an IPv4 prefix that a bridge or an uplink may have, or None."""
    fits = isinstance(prefix, IPv4Network) and prefix.is_private and prefix.prefixlen <= 30
    return prefix if fits and isinstance(prefix, IPv4Network) else None
