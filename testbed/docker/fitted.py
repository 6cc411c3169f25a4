"""The host that rules were written on, as far as they tell: its interfaces, addresses, containers, machines, and IPv6.

What rules name and no description of the host does is built, and each part is a guess that the result lists first.
Of a host that a file describes, the file's containers are the only ones, and its section `host` is the whole of its
surroundings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_interface,
    ip_network,
)
from typing import Any

from testbed.docker import named_by_rules, naming
from testbed.docker.article_surroundings import SURROUNDINGS
from testbed.docker.guess import Guess, GuessKind
from testbed.docker.host import LOOPBACK, LOOPBACK6, Container, DockerHost, Network
from testbed.docker.host_section import guest, peers_of, tunnel_kind
from testbed.docker.lan import free_addresses
from testbed.docker.surroundings import GuestBridge, Machine, Tunnel, Uplink
from testbed.rules.environment import Mention
from testbed.rules.ruleset import AnyRuleset
from testbed.topology import Address, Prefix

_PREFIX = {172: 16}  # of the subnets that Docker chooses for networks: 172.17.0.0/16 and following, else /24
_PRIVATE = [IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]  # RFC 1918
_POOL = IPv4Network("10.0.0.0/8")  # of subnets for interfaces whose subnet no rule gives
_TAILSCALE = IPv4Network("100.64.0.0/10")  # shared address space (RFC 6598)
_NOT_OF_A_MACHINE: list[Prefix] = [
    *(IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4")),
    *(IPv6Network(text) for text in ("::/96", "::ffff:0:0/96", "2002::/16", "fe80::/10", "ff00::/8")),  # mapped, 6to4
]
MOST = 12  # uplinks, bridges, tunnels and machines that are added, of each so many


@dataclass(frozen=True, slots=True)
class Fitted:
    """A host with what rules need, and what was added."""

    host: DockerHost
    guesses: tuple[Guess, ...] = ()

    def added(self, host: DockerHost, *guesses: Guess) -> Fitted:
        return Fitted(host, (*self.guesses, *guesses))


def fitted(host: DockerHost, rulesets: Sequence[AnyRuleset], described: bool) -> Fitted:
    """Return the host with all that follows from the rules; `described`: a file describes it."""
    found = _with_ipv6(Fitted(host), rulesets)
    if host.surroundings == SURROUNDINGS:
        found = _with_uplinks(found, rulesets)
        found = _with_addresses(found, rulesets)
        found = _with_tunnels(found, rulesets)
    if not described:
        found = _with_containers(found, rulesets)
    if host.surroundings == SURROUNDINGS:
        found = _with_bridges(found, rulesets)
        found = _with_machines(found, rulesets, described)
    return found


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
        subnet, assumed = _subnet_for(host, mention, rulesets)
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
            address in own for own in (*_outside(host), *_docker_subnets(host)) if address.version == own.version
        )
        if known or inside or _is_special(address):
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
        subnet, assumed = _subnet_for(host, mention, rulesets)
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
        subnet, assumed = _subnet_for(host, mention, rulesets)
        own = IPv4Interface(f"{subnet[1]}/{subnet.prefixlen}")
        first = next(free_addresses(subnet, {own.ip}))
        inside = guest(name, f"guest-{name}", (IPv4Interface(f"{first}/{subnet.prefixlen}"),))
        bridge = GuestBridge(name, naming.local_mac(f"bridge {name}"), (own,), (inside,))
        host = _changed(host, bridges=(*surroundings.bridges, bridge))
        guesses.append(Guess(GuessKind.BRIDGE, name, (str(own), str(first)), assumed=assumed))
    return given.added(host, *guesses)


def _goes_out(name: str) -> bool:
    return named_by_rules.is_uplink(name) or named_by_rules.is_tunnel(name)


def _with_containers(given: Fitted, rulesets: Sequence[AnyRuleset]) -> Fitted:
    """A container for each address that packets are translated to, on its network."""
    host, guesses = given.host, []
    for address in named_by_rules.targets(rulesets):
        if not _may_be_a_containers(host, address):
            continue
        network = _network_of(host, address)
        if network is None:
            network, assumed = _new_network(host, address, rulesets)
            host = replace(host, networks=(*host.networks, network))
            gateways = tuple(str(own) for own in (network.gateway, network.gateway6) if own is not None)
            guesses.append(Guess(GuessKind.NETWORK, network.bridge, gateways, because=str(address), assumed=assumed))
        if address in (network.gateway.ip, network.gateway6 and network.gateway6.ip):
            continue
        made = container_at(host, address, network)
        host = replace(host, containers=(*host.containers, made))
        guesses.append(Guess(GuessKind.CONTAINER, made.name, (str(address),), network.bridge))
    return given.added(host, *guesses)


def _with_machines(given: Fitted, rulesets: Sequence[AnyRuleset], described: bool) -> Fitted:
    """A machine outside for each address that rules translate to and each prefix that they name, if no node has it."""
    host, guesses = given.host, []
    wanted: list[tuple[Prefix, str]] = []
    if not described:
        wanted += [(ip_network(address), "dnat") for address in named_by_rules.targets(rulesets)]
    wanted += [(prefix, "prefix") for prefix in named_by_rules.prefixes(rulesets)]
    for prefix, because in wanted:
        if (prefix.version == 6 and not host.ipv6) or not _is_absent(host, prefix, because == "dnat"):
            continue
        if len(host.surroundings.machines) == MOST:
            break
        address = prefix[0] if prefix.num_addresses <= 2 else prefix[1]
        name = machine_name(address)
        machine = Machine(name, naming.local_mac(name), address, host.surroundings.main.name)
        host = _changed(host, machines=(*host.surroundings.machines, machine))
        guesses.append(Guess(GuessKind.MACHINE, name, (str(address),), because=str(prefix)))
    return given.added(host, *guesses)


def machine_name(address: Address) -> str:
    """Return the name of the node that stands for an address outside."""
    return f"at-{str(address).replace(':', '-')}"


def _is_absent(host: DockerHost, prefix: Prefix, exact: bool) -> bool:
    """Whether no node of the bed has an address in a prefix; `exact`: networks do not count, only addresses."""
    known = [ip_network(address) for address in (*host.own_addresses(), *host.addresses())]
    known += [ip_network(own.ip) for own in host.surroundings.addresses()]
    known += [ip_network(own.ip) for own in host.around.internet]
    if not exact:
        known += [*_outside(host), *_docker_subnets(host), *(own.network for own in host.around.internet)]
        known += _NOT_OF_A_MACHINE
    elif _is_special(prefix[0]):
        return False
    return not any(one.version == prefix.version and one.overlaps(prefix) for one in known)


def _is_special(address: Address) -> bool:
    return any(address.version == one.version and address in one for one in _NOT_OF_A_MACHINE)


def _outside(host: DockerHost) -> list[Prefix]:
    """The networks outside, in which no container has an address."""
    lans = [own.network for lan in host.around.lans for own in lan.uplink.addresses if own.network.num_addresses > 1]
    return [LOOPBACK, LOOPBACK6, *lans, *(network for _, network in host.surroundings.networks())]


def _docker_subnets(host: DockerHost) -> list[Prefix]:
    return [own for network in host.networks for own in (network.subnet, network.subnet6) if own is not None]


def _changed(host: DockerHost, **changed: Any) -> DockerHost:
    """The host with other surroundings."""
    return replace(host, surroundings=replace(host.surroundings, **changed))


def _subnet_for(host: DockerHost, mention: Mention, rulesets: Sequence[AnyRuleset]) -> tuple[IPv4Network, bool]:
    """The subnet at an interface, and whether it is assumed: the rules' own, else one that no rule and no node has."""
    used = [*_outside(host), *_docker_subnets(host), *(own.network for own in host.around.internet)]
    tied = named_by_rules.private(mention.subnet)
    if tied is None and mention.name.startswith("tailscale"):
        tied = _TAILSCALE
    if tied is not None and not any(tied.version == one.version and tied.overlaps(one) for one in used):
        return tied, False
    used += [prefix for prefix in named_by_rules.prefixes(rulesets) if prefix.prefixlen > _POOL.prefixlen]
    return next(_free_subnets(used)), True


def _free_subnets(used: Iterable[Prefix]) -> Iterator[IPv4Network]:
    taken = [own for own in used if isinstance(own, IPv4Network)]
    return (own for own in _POOL.subnets(new_prefix=24) if not any(own.overlaps(one) for one in taken))


def _may_be_a_containers(host: DockerHost, address: Address) -> bool:
    """Whether it is an address that a container of this host may get."""
    if address in host.addresses() or address in host.own_addresses():
        return False
    outside = any(address.version == own.version and address in own for own in _outside(host))
    if isinstance(address, IPv6Address):
        return not outside and not _is_special(address)
    return not outside and any(address in network for network in _PRIVATE)


def _network_of(host: DockerHost, address: Address) -> Network | None:
    if isinstance(address, IPv6Address):
        return next((own for own in host.networks if own.subnet6 is not None and address in own.subnet6), None)
    return next((own for own in host.networks if address in own.subnet), None)


def _new_network(host: DockerHost, address: Address, rulesets: Sequence[AnyRuleset]) -> tuple[Network, bool]:
    """The network that has an address, and whether it is assumed: by the rules' own words, else one around it."""
    if isinstance(address, IPv6Address):
        return _new_network6(host, address, rulesets), True
    used = [*_docker_subnets(host), *_outside(host)]
    mentions = named_by_rules.mentions(rulesets)
    tied = [(m.name, m.subnet) for m in mentions if m.subnet is not None and address in m.subnet]
    if tied and not any(tied[0][1].overlaps(own) for own in used if isinstance(own, IPv4Network)):
        return _bridge(tied[0][0], tied[0][1]), False
    assumed = IPv4Network((address, _PREFIX.get(address.packed[0], 24)), strict=False)
    overlapping = any(assumed.overlaps(own) for own in used if isinstance(own, IPv4Network))
    if overlapping or address in (assumed[0], assumed[1], assumed[-1]):
        assumed = IPv4Network((int(address) & ~3, 30)) if int(address) & 3 == 2 else assumed
    return _bridge(_bridge_name(host, address, str(assumed), rulesets), assumed), True


def _new_network6(host: DockerHost, address: IPv6Address, rulesets: Sequence[AnyRuleset]) -> Network:
    subnet6 = IPv6Network((address, 64), strict=False)
    subnet = next(_free_subnets([*_outside(host), *_docker_subnets(host), *named_by_rules.prefixes(rulesets)]))
    name = _bridge_name(host, address, str(subnet6), rulesets)
    return replace(_bridge(name, subnet), gateway6=IPv6Interface((subnet6[1], subnet6.prefixlen)))


def _bridge_name(host: DockerHost, address: Address, subnet: str, rulesets: Sequence[AnyRuleset]) -> str:
    name = next(named_by_rules.leading_to(rulesets, address), "")
    taken = {*(network.bridge for network in host.networks), *host.surroundings.interfaces()}
    return name if name and name not in taken else naming.bridge(subnet)


def _bridge(name: str, subnet: IPv4Network) -> Network:
    gateway = IPv4Interface((subnet[1], subnet.prefixlen))
    return Network(name, gateway, naming.mac(gateway.ip), name=name)


def container_at(host: DockerHost, address: Address, network: Network) -> Container:
    """Return a container on a network with an address, and with one of each other IP version of the network."""
    name = f"container-{str(address).replace('.', '-').replace(':', '-')}"
    six = address if isinstance(address, IPv6Address) else None
    four = address if isinstance(address, IPv4Address) else _next_free(host, network)
    if six is None and network.gateway6 is not None and network.subnet6 is not None:
        taken = {network.gateway6.ip, *host.addresses()}
        six = next(one for one in free_addresses(network.subnet6, taken) if isinstance(one, IPv6Address))
    mac, veth = naming.mac(four), naming.veth(name)
    return Container(name, network, four, mac, veth, naming.veth_mac(name), address6=six)


def _next_free(host: DockerHost, network: Network) -> IPv4Address:
    taken = {network.gateway.ip, *host.addresses()}
    return next(one for one in free_addresses(network.subnet, taken) if isinstance(one, IPv4Address))
