"""A topology and its rules as a shell script, as an expert would write it by hand.

One `ip -batch` makes all namespaces. For each node, one more makes its devices, and one more its addresses. The
script does less work than a bed: it does not wait until links carry frames, and it leaves checksum offload on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from testbed.kernel.xtables import Iptables
from testbed.rules import AnyRuleset, Ruleset, save
from testbed.topology import Link, Node, Port, Topology

_DRIVER = 'echo ready; for script; do read -r go; sh -e -c "$script"; echo done; done; read -r end'


def program(topology: Topology, ruleset: Ruleset, backend: Iptables) -> list[str]:
    """Return the program that builds, then removes: a shell for each step, one line of input for each step."""
    return ["sh", "-e", "-c", _DRIVER, "sh", build(topology, ruleset, backend), remove(topology)]


def build(topology: Topology, ruleset: Ruleset, backend: Iptables) -> str:
    """Return the script that makes the topology, with a namespace named after each node, and loads the host's rules."""
    loaded = _fed(f"ip netns exec {topology.host} {backend.program}-restore", _lines(save.render(ruleset)))
    return f"{network(topology)}\n{loaded}"


def network(topology: Topology) -> str:
    """Return the script that makes the topology, with a namespace named after each node."""
    nodes = topology.nodes
    commands = [
        _fed("ip -batch -", [f"netns add {node.name}" for node in nodes]),
        *(_fed(f"ip netns exec {node.name} sh -e", _sysctls(node.sysctls)) for node in nodes),
        *(_fed(f"ip -n {node.name} -batch -", _devices(topology, node)) for node in nodes),
        *(_fed(f"ip -n {node.name} -batch -", _network(topology, node)) for node in nodes),
        *(_fed(f"ip netns exec {node.name} sh -e", _sysctls(node.late_sysctls)) for node in nodes),
    ]
    return "\n".join(filter(None, commands))


def load(topology: Topology, ruleset: AnyRuleset, program: str) -> str:
    """Return the script that loads rules of either syntax, and of both IP versions, into the host."""
    inside = f"ip netns exec {topology.host}"
    iptables = ruleset.as_iptables
    if iptables is None:
        return _fed(f"{inside} nft -f -", _lines(ruleset.text))
    families = [False, *([True] if any(table.of_ipv6 for table in iptables.tables) else [])]
    restore = {False: f"{program}-restore", True: f"{program.replace('ip', 'ip6', 1)}-restore"}
    sets = [_fed(f"{inside} ipset restore", _lines(ruleset.sets))] if ruleset.sets else []
    loaded = [_fed(f"{inside} {restore[ipv6]}", _lines(save.render_family(iptables, ipv6))) for ipv6 in families]
    return "\n".join([*sets, *loaded])


def _lines(text: str) -> list[str]:
    return text.rstrip("\n").split("\n")


def remove(topology: Topology) -> str:
    """Return the script that removes the namespaces."""
    return _fed("ip -batch -", [f"netns del {node.name}" for node in topology.nodes])


def _fed(command: str, lines: list[str]) -> str:
    """Return a command with its input; an empty string if there is no input."""
    return "\n".join([f"{command} <<'END'", *lines, "END"]) if lines else ""


def _sysctls(sysctls: tuple[tuple[str, str], ...]) -> list[str]:
    return [
        f"echo '{value}' > /proc/sys/{key.replace('.', '/')}"
        for key, value in sysctls
        if not key.startswith("net.ipv6.") or Path("/proc/sys/net/ipv6").exists()
    ]


def _devices(topology: Topology, node: Node) -> list[str]:
    bridges = (
        f"link add name {bridge.name} index {node.indexes[bridge.name]} address {bridge.mac} up "
        "type bridge mcast_snooping 0"
        for bridge in node.bridges
    )
    return ["link set lo up", *bridges, *(_veth(topology, link) for link in topology.links if link.a.node == node.name)]


def _veth(topology: Topology, link: Link) -> str:
    def end(node: Node, device: str) -> str:
        return f"name {device} index {node.indexes[device]} address {node.interface(device).mac}"

    near, far = topology.node(link.a.node), topology.node(link.b.node)
    return f"link add {end(near, link.a.device)} up type veth peer {end(far, link.b.device)} netns {far.name}"


def _network(topology: Topology, node: Node) -> list[str]:
    return [*_interfaces(topology, node), *_addresses(node), *_routes(node), *_neighbours(topology, node)]


def _interfaces(topology: Topology, node: Node) -> Iterator[str]:
    born_up = {link.a for link in topology.links}
    for interface in node.interfaces:
        if interface.master is not None:
            yield f"link set {interface.name} master {interface.master}"
        if Port(node.name, interface.name) not in born_up:
            yield f"link set {interface.name} up"
        if interface.hairpin:
            yield f"link set {interface.name} type bridge_slave hairpin on"
        for altname in interface.altnames:
            yield f"link property add dev {interface.name} altname {altname}"


def _addresses(node: Node) -> Iterator[str]:
    for device in node.devices:
        for address in device.addresses:
            yield f"address add {address} broadcast + dev {device.name}"


def _routes(node: Node) -> Iterator[str]:
    own = [address.network for device in node.devices for address in device.addresses]
    for route in node.routes:
        if route.blackhole:
            yield f"route add blackhole {route.destination}"
        elif any(route.via in network for network in own):
            yield f"route add {route.destination} via {route.via}"


def _neighbours(topology: Topology, node: Node) -> Iterator[str]:
    for neighbour in topology.neighbours(node.name):
        yield f"neighbour add {neighbour.address} lladdr {neighbour.mac} dev {neighbour.device} nud permanent"
