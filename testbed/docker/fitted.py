"""The host that rules were written on, as far as they tell: its interface, addresses, containers, and IPv6.

Rules alone name what the article's host has not. What follows from them is added, and every addition is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_address
from typing import Any

from testbed.docker import naming
from testbed.docker.host import LOOPBACK, Container, DockerHost, Network
from testbed.rules import environment
from testbed.rules.clauses import clauses, target_of
from testbed.rules.ruleset import AnyRuleset
from testbed.topology import LONGEST_NAME, Prefix

_TO = re.compile(r"(?:--to-destination |\bdnat (?:ip )?to )(\d+\.\d+\.\d+\.\d+)(?![-\d.])")
_PUBLISHED_AT = re.compile(r"\bip daddr (\d+\.\d+\.\d+\.\d+)(?![/\d.]).*\bdnat\b")
_LEADS_TO = re.compile(r'\boif(?:name)? "([^"]+)".*\bip daddr (\d+\.\d+\.\d+\.\d+)(?![/\d.])')
_IPV6 = re.compile(r"^\s*(?:add )?table (?:ip6|inet) ", re.MULTILINE)
_PREFIX = {172: 16}  # of the subnets that Docker chooses for networks: 172.17.0.0/16 and following, else /24
_PRIVATE = [IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]  # RFC 1918


@dataclass(frozen=True, slots=True)
class Fitted:
    """A host with what rules need, and sentences on what was added."""

    host: DockerHost
    said: tuple[str, ...] = ()


def fitted(host: DockerHost, rulesets: Sequence[AnyRuleset], described: bool) -> Fitted:
    """The host with all that follows from the rules; of one that is `described` in a file only IPv6 is added."""
    found = Fitted(host)
    for add in (_with_ipv6,) if described else (_with_ipv6, _with_uplink, _with_addresses, _with_containers):
        found = add(found, rulesets)
    return found


def _with_ipv6(given: Fitted, rulesets: Sequence[AnyRuleset]) -> Fitted:
    if given.host.ipv6 or not any(map(_has_ipv6, rulesets)):
        return given
    said = "The host has IPv6, as there are rules of IPv6; its containers have none."
    return Fitted(_with_surroundings(given.host, ipv6=True), (*given.said, said))


def _has_ipv6(rules: AnyRuleset) -> bool:
    if (iptables := rules.as_iptables) is None:
        return bool(_IPV6.search(rules.text))
    return any(table.of_ipv6 and table.touched for table in iptables.tables)


def _with_uplink(given: Fitted, rulesets: Sequence[AnyRuleset]) -> Fitted:
    """The external interface under the name that rules give it, where that is one alone."""
    named = {mention.name for rules in rulesets for mention in environment.mentions(rules)}
    outward = {
        name for name in named if environment.is_outward(name) and name[-1] not in "+*" and len(name) <= LONGEST_NAME
    }
    if given.host.surroundings.main.name in named or len(outward) != 1:
        return given
    (name,) = outward
    said = f"{name} is the host's external interface, as rules name no other."
    return Fitted(_with_main_uplink(given.host, name=name, altnames=()), (*given.said, said))


def _with_addresses(given: Fitted, rulesets: Sequence[AnyRuleset]) -> Fitted:
    """The addresses at which rules publish ports."""
    host, said = given.host, [*given.said]
    for address in dict.fromkeys(a for rules in rulesets for a in _published_at(rules)):
        known = address in host.addresses() or any(address in own for own in (*_of_others(host), *_subnets(host)))
        if not known and not address.is_multicast and not address.is_unspecified:
            own = (*host.surroundings.main.addresses, IPv4Interface(address))
            host = _with_main_uplink(host, addresses=own)
            said.append(f"The host has the address {address}, at which rules publish ports.")
    return Fitted(host, tuple(said))


def _published_at(rules: AnyRuleset) -> Iterator[IPv4Address]:
    if (iptables := rules.as_iptables) is None:
        yield from map(IPv4Address, _PUBLISHED_AT.findall(rules.text))
        return
    for table, rule in iptables.rules:
        target = target_of(rule.spec)
        if table.name == "nat" and target is not None and target.name == "DNAT":
            yield from (
                address
                for clause in clauses(rule.spec)
                if clause.option == "-d" and not clause.negated
                for address in _single(clause.values)
            )


def _single(values: Sequence[str]) -> Iterator[IPv4Address]:
    """The addresses among values, without prefixes."""
    for value in values:
        try:
            found = ip_address(value.removesuffix("/32"))
        except ValueError:
            continue
        if isinstance(found, IPv4Address):
            yield found


def _with_containers(given: Fitted, rulesets: Sequence[AnyRuleset]) -> Fitted:
    """A container for each address that packets are translated to, on its network."""
    host, said = given.host, [*given.said]
    for address in dict.fromkeys(a for rules in rulesets for a in _targets(rules)):
        if not _may_have(host, address):
            continue
        network = next((own for own in host.networks if address in own.subnet), None)
        if network is None:
            network, how = _network(host, address, rulesets)
            host = replace(host, networks=(*host.networks, network))
            said.append(f"{network.bridge} is made with {network.gateway}, {how}.")
        elif address == network.gateway.ip:
            continue
        made = _container(address, network)
        host = replace(host, containers=(*host.containers, made))
        said.append(f"{made.name} is made on {network.bridge}: rules translate to {address}.")
    return Fitted(host, tuple(said))


def _targets(rules: AnyRuleset) -> list[IPv4Address]:
    iptables = rules.as_iptables
    specs = [rules.text] if iptables is None else [rule.spec for _, rule in iptables.rules]
    return [IPv4Address(found) for spec in specs for found in _TO.findall(spec)]


def _may_have(host: DockerHost, address: IPv4Address) -> bool:
    """Whether it is an address that a container of this host may get."""
    taken = address in host.addresses() or address in host.own_addresses()
    private = any(address in network for network in _PRIVATE)
    return private and not taken and not any(address in network for network in _of_others(host))


def _of_others(host: DockerHost) -> list[Prefix]:
    """The networks outside, in which no container has an address."""
    return [LOOPBACK, *(network for _, network in host.surroundings.networks())]


def _with_surroundings(host: DockerHost, **changed: Any) -> DockerHost:
    return replace(host, surroundings=replace(host.surroundings, **changed))


def _with_main_uplink(host: DockerHost, **changed: Any) -> DockerHost:
    first, *others = host.surroundings.uplinks
    return _with_surroundings(host, uplinks=(replace(first, **changed), *others))


def _subnets(host: DockerHost) -> list[IPv4Network]:
    return [network.subnet for network in host.networks]


def _network(host: DockerHost, address: IPv4Address, rulesets: Sequence[AnyRuleset]) -> tuple[Network, str]:
    """The network that has an address: by the rules' own words, else assumed."""
    mentions = [mention for rules in rulesets for mention in environment.mentions(rules)]
    tied = [(m.name, m.subnet) for m in mentions if m.subnet is not None and address in m.subnet]
    if tied and not any(tied[0][1].overlaps(own) for own in (*_subnets(host), *_of_others(host))):
        return _bridge(tied[0][0], tied[0][1]), "as rules name it"
    assumed = IPv4Network((address, _PREFIX.get(address.packed[0], 24)), strict=False)
    if any(assumed.overlaps(own) for own in _subnets(host)) or address in (assumed[0], assumed[1], assumed[-1]):
        assumed = IPv4Network((int(address) & ~3, 30)) if int(address) & 3 == 2 else assumed
    name = next((name for rules in rulesets for name in _leading_to(rules, address)), "")
    taken = {network.bridge for network in host.networks}
    name = name if name and name not in taken else naming.bridge(str(assumed))
    return _bridge(
        name, assumed
    ), f"which is assumed: rules translate to {address}, and say of no network that it has it"


def _leading_to(rules: AnyRuleset, address: IPv4Address) -> Iterator[str]:
    """The bridges by which rules say that an address is reached."""
    if (iptables := rules.as_iptables) is None:
        yield from (name for name, to in _LEADS_TO.findall(rules.text) if to == str(address))
        return
    for _, rule in iptables.rules:
        asked = {clause.option: clause for clause in clauses(rule.spec) if not clause.negated}
        if {"-d", "-o"} <= asked.keys() and address in _single(asked["-d"].values):
            yield asked["-o"].values[0]


def _bridge(name: str, subnet: IPv4Network) -> Network:
    gateway = IPv4Interface((subnet[1], subnet.prefixlen))
    return Network(name, gateway, naming.mac(gateway.ip), name=name)


def _container(address: IPv4Address, network: Network) -> Container:
    name = f"container-{str(address).replace('.', '-')}"
    return Container(name, network, address, naming.mac(address), naming.veth(name), naming.veth_mac(name))
