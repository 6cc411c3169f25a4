"""The host that rules were written on, as far as they tell: its interfaces, addresses, containers, machines, and IPv6.

What rules name and no description of the host does is built, and each part is a guess that the result lists first.
Of a host that a file describes, the file's containers are the only ones, and its section `host` is the whole of its
surroundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv4Network, ip_interface
from typing import Any

from testbed.docker import named_by_rules, naming
from testbed.docker.article_surroundings import SURROUNDINGS
from testbed.docker.fitted_containers import with_containers
from testbed.docker.fitted_machines import with_machines
from testbed.docker.guess import Guess, GuessKind
from testbed.docker.host import DockerHost
from testbed.docker.host_section import guest, peers_of, tunnel_kind
from testbed.docker.lan import free_addresses
from testbed.docker.surroundings import GuestBridge, Tunnel, Uplink
from testbed.docker.used_networks import docker_subnets, free_subnets, is_special, outside_networks
from testbed.rules.environment import Mention
from testbed.rules.ruleset import AnyRuleset
from testbed.topology import Prefix, node_name

_TAILSCALE = IPv4Network("100.64.0.0/10")  # shared address space (RFC 6598)
_WIDE = 8  # prefixes up to this length do not keep a subnet from being chosen
MOST = 12  # uplinks, bridges and tunnels that are added, of each so many


@dataclass(frozen=True, slots=True)
class Fitted:
    """A host with what rules need, and what was added."""

    host: DockerHost
    guesses: tuple[Guess, ...] = ()

    def added(self, host: DockerHost, *guesses: Guess) -> Fitted:
        return Fitted(host, (*self.guesses, *guesses))


def fitted(host: DockerHost, rulesets: Sequence[AnyRuleset], described: bool) -> Fitted:
    """Return the host with all that follows from the rules; `described`: a file describes it."""
    found = _with_ipv6(Fitted(_without_altnames(host, rulesets)), rulesets)
    if host.surroundings == SURROUNDINGS:
        found = _with_uplinks(found, rulesets)
        found = _with_addresses(found, rulesets)
        found = _with_tunnels(found, rulesets)
    if not described:
        built, guesses = with_containers(found.host, rulesets)
        found = found.added(built, *guesses)
    if host.surroundings == SURROUNDINGS:
        found = _with_bridges(found, rulesets)
        built, guesses = with_machines(found.host, rulesets, translated=not described)
        found = found.added(built, *guesses)
    return found


def _without_altnames(host: DockerHost, rulesets: Sequence[AnyRuleset]) -> DockerHost:
    """The host without other names of its uplink that rules give an interface: rules match none of them."""
    first, *others = host.surroundings.uplinks
    named = {named_by_rules.concrete(one.name) for one in named_by_rules.mentions(rulesets)}
    return _changed(host, uplinks=(replace(first, altnames=()), *others)) if named & {*first.altnames} else host


def _with_ipv6(given: Fitted, rulesets: Sequence[AnyRuleset]) -> Fitted:
    if given.host.ipv6 or not any(map(named_by_rules.has_ipv6, rulesets)):
        return given
    return given.added(_changed(given.host, ipv6=True), Guess(GuessKind.IPV6, "host"))


def _with_uplinks(given: Fitted, rulesets: Sequence[AnyRuleset]) -> Fitted:
    """The main uplink under a name that rules give it, and an uplink for each other name of this kind."""
    host, guesses = given.host, []
    named = [one for one in named_by_rules.mentions(rulesets) if named_by_rules.is_uplink(one.name)]
    if not any(mention.is_one_of([host.surroundings.main.name]) for mention in named) and named:
        name = named_by_rules.concrete(_main_of(named).name)
        first, *others = host.surroundings.uplinks
        host = _changed(host, uplinks=(replace(first, name=name, altnames=()), *others))
        guesses.append(Guess(GuessKind.UPLINK_NAME, name))
    for mention in named[:MOST]:
        known = [uplink.name for uplink in host.surroundings.uplinks]
        if mention.is_one_of(known):
            continue
        name = named_by_rules.concrete(mention.name)
        if (chosen := _subnet_for(host, mention, rulesets)) is None:
            continue
        subnet, assumed = chosen
        own = IPv4Interface(f"{subnet[1]}/{subnet.prefixlen}")
        uplink = Uplink(name, naming.local_mac(f"uplink {name}"), (own,))
        host = _changed(host, uplinks=(*host.surroundings.uplinks, uplink))
        guesses.append(Guess(GuessKind.UPLINK, name, (str(own),), assumed=assumed))
    return given.added(host, *guesses)


def _main_of(named: Sequence[Mention]) -> Mention:
    """The interface that leads to the internet, as far as names tell: no wildcard if there is another."""
    exact = [one for one in named if not one.name.endswith(named_by_rules.WILDCARDS)]
    return (exact or list(named))[0]


def _with_addresses(given: Fitted, rulesets: Sequence[AnyRuleset]) -> Fitted:
    """The addresses at which rules publish ports or let packets in, and under which they send packets out."""
    host, guesses = given.host, []
    asked = ((named_by_rules.published_at(rulesets), "publish"), (named_by_rules.sources(rulesets), "snat"))
    for address, because in ((address, why) for addresses, why in asked for address in addresses):
        known = address in host.own_addresses() or address in host.addresses()
        inside = any(
            address in own for own in (*outside_networks(host), *docker_subnets(host)) if address.version == own.version
        )
        if known or inside or is_special(address):
            continue
        first, *others = host.surroundings.uplinks
        first = replace(first, addresses=(*first.addresses, ip_interface(address)))
        host = _changed(host, uplinks=(first, *others))
        guesses.append(Guess(GuessKind.ADDRESS, first.name, (str(address),), because=because))
    return given.added(host, *guesses)


def _with_tunnels(given: Fitted, rulesets: Sequence[AnyRuleset]) -> Fitted:
    host, guesses = given.host, []
    named = [one for one in named_by_rules.mentions(rulesets) if named_by_rules.is_tunnel(one.name)]
    for mention in named[:MOST]:
        if mention.is_one_of(host.surroundings.interfaces()):
            continue
        name = named_by_rules.concrete(mention.name)
        if (chosen := _subnet_for(host, mention, rulesets)) is None:
            continue
        subnet, assumed = chosen
        own = IPv4Interface(f"{subnet[1]}/{subnet.prefixlen}")
        tunnel = Tunnel(name, naming.local_mac(f"tunnel {name}"), (own,), peers_of([own]), kind=tunnel_kind(name))
        host = _changed(host, tunnels=(*host.surroundings.tunnels, tunnel))
        guesses.append(
            Guess(GuessKind.TUNNEL, name, (str(own), *(str(one.ip) for one in tunnel.peer)), assumed=assumed)
        )
    return given.added(host, *guesses)


def _with_bridges(given: Fitted, rulesets: Sequence[AnyRuleset]) -> Fitted:
    """A bridge with a guest for each other interface that rules name."""
    host, guesses = given.host, []
    for mention in named_by_rules.mentions(rulesets)[: 2 * MOST]:
        name, surroundings = named_by_rules.concrete(mention.name), host.surroundings
        present = ["lo", *surroundings.interfaces(), *(network.bridge for network in host.networks)]
        if mention.is_one_of(present) or named_by_rules.is_bridge_port(name) or _goes_out(name):
            continue
        if (chosen := _subnet_for(host, mention, rulesets)) is None:
            continue
        subnet, assumed = chosen
        own = IPv4Interface(f"{subnet[1]}/{subnet.prefixlen}")
        first = next(free_addresses(subnet, {own.ip}))
        inside = guest(name, f"guest-{node_name(name)}", (IPv4Interface(f"{first}/{subnet.prefixlen}"),))
        bridge = GuestBridge(name, naming.local_mac(f"bridge {name}"), (own,), (inside,))
        host = _changed(host, bridges=(*surroundings.bridges, bridge))
        guesses.append(Guess(GuessKind.BRIDGE, name, (str(own), str(first)), inside.name, assumed=assumed))
    return given.added(host, *guesses)


def _goes_out(name: str) -> bool:
    return named_by_rules.is_uplink(name) or named_by_rules.is_tunnel(name)


def _changed(host: DockerHost, **changed: Any) -> DockerHost:
    """The host with other surroundings."""
    return replace(host, surroundings=replace(host.surroundings, **changed))


def _subnet_for(host: DockerHost, mention: Mention, rulesets: Sequence[AnyRuleset]) -> tuple[IPv4Network, bool] | None:
    """The subnet at an interface, and whether it is assumed: the rules' own, else one that no rule and no node has.

    None: the host leaves no subnet free.
    """
    used: list[Prefix] = [*outside_networks(host), *docker_subnets(host)]
    used += [own.network for own in host.around.internet]
    tied = named_by_rules.private(mention.subnet)
    if tied is None and mention.name.startswith("tailscale"):
        tied = _TAILSCALE
    if tied is not None and not any(tied.version == one.version and tied.overlaps(one) for one in used):
        return tied, False
    named = [prefix for prefix in named_by_rules.prefixes(rulesets) if prefix.prefixlen > _WIDE]
    chosen = next(free_subnets([*used, *named]), None) or next(free_subnets(used), None)
    return None if chosen is None else (chosen, True)
