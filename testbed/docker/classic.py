"""The rules of engines 20.10 to 27 ("classic"), as 20.10.24 and 26.1.5 were seen to install them.

The order is the one in which the engine leaves them: what belongs to a network is inserted at the head of its chain
when the network is made (so the newest network comes first), what belongs to a port is appended.
"""

from __future__ import annotations

from testbed.docker.host import Container, DockerHost, Network, PublishedPort
from testbed.rules.ruleset import Chain, Rule, Ruleset, Table


def rules(host: DockerHost) -> Ruleset:
    """The rule set of such an engine for this host, tables and chains in the order of `iptables-save`."""
    return Ruleset((_filter(host), _nat(host)), source="the rules of engine 20.10")


def _published(host: DockerHost) -> list[tuple[Container, PublishedPort]]:
    return [(container, port) for container in host.containers for port in container.published]


def _filter(host: DockerHost) -> Table:
    newest_first = host.networks[::-1]
    built_in = [
        Chain(name, policy) for name, policy in (("INPUT", "ACCEPT"), ("FORWARD", "DROP"), ("OUTPUT", "ACCEPT"))
    ]
    own = [Chain(n) for n in ("DOCKER", "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2", "DOCKER-USER")]
    return Table(
        "filter",
        (
            *built_in,
            *own,
            Rule("FORWARD", "-j DOCKER-USER"),
            Rule("FORWARD", "-j DOCKER-ISOLATION-STAGE-1"),
            *(rule for network in newest_first for rule in _forward(network)),
            *(_accept(container, port) for container, port in _published(host)),
            *(_isolated("1", f"-i {n.bridge} ! -o {n.bridge} -j DOCKER-ISOLATION-STAGE-2") for n in newest_first),
            _isolated("1", "-j RETURN"),
            *(_isolated("2", f"-o {network.bridge} -j DROP") for network in newest_first),
            _isolated("2", "-j RETURN"),
            Rule("DOCKER-USER", "-j RETURN"),
        ),
    )


def _forward(network: Network) -> list[Rule]:
    bridge = network.bridge
    return [
        Rule("FORWARD", f"-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        Rule("FORWARD", f"-o {bridge} -j DOCKER"),
        Rule("FORWARD", f"-i {bridge} ! -o {bridge} -j ACCEPT"),
        Rule("FORWARD", f"-i {bridge} -o {bridge} -j ACCEPT"),
    ]


def _isolated(stage: str, spec: str) -> Rule:
    return Rule(f"DOCKER-ISOLATION-STAGE-{stage}", spec)


def _accept(container: Container, port: PublishedPort) -> Rule:
    bridge = container.network.bridge
    match = f"-p {port.protocol} -m {port.protocol} --dport {port.container}"
    return Rule("DOCKER", f"-d {container.address}/32 ! -i {bridge} -o {bridge} {match} -j ACCEPT")


def _nat(host: DockerHost) -> Table:
    newest_first = host.networks[::-1]
    built_in = [Chain(name, "ACCEPT") for name in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")]
    to_local = "-m addrtype --dst-type LOCAL -j DOCKER"
    proxied = host.userland_proxy
    return Table(
        "nat",
        (
            *built_in,
            Chain("DOCKER"),
            Rule("PREROUTING", to_local),
            Rule("OUTPUT", f"! -d 127.0.0.0/8 {to_local}" if proxied else to_local),
            *(rule for network in newest_first for rule in _masquerade(network, proxied)),
            *(_hairpin(container, port) for container, port in _published(host)),
            *(Rule("DOCKER", f"-i {network.bridge} -j RETURN") for network in newest_first if proxied),
            *(_dnat(container, port, proxied) for container, port in _published(host)),
        ),
    )


def _masquerade(network: Network, proxied: bool) -> list[Rule]:
    outward = Rule("POSTROUTING", f"-s {network.subnet} ! -o {network.bridge} -j MASQUERADE")
    from_host = Rule("POSTROUTING", f"-o {network.bridge} -m addrtype --src-type LOCAL -j MASQUERADE")
    return [outward] if proxied else [from_host, outward]


def _hairpin(container: Container, port: PublishedPort) -> Rule:
    address = container.address
    match = f"-p {port.protocol} -m {port.protocol} --dport {port.container}"
    return Rule("POSTROUTING", f"-s {address}/32 -d {address}/32 {match} -j MASQUERADE")


def _dnat(container: Container, port: PublishedPort, proxied: bool) -> Rule:
    outside = f"! -i {container.network.bridge} " if proxied else ""
    match = f"-p {port.protocol} -m {port.protocol} --dport {port.host}"
    return Rule("DOCKER", f"{outside}{match} -j DNAT --to-destination {container.address}:{port.container}")
