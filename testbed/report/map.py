"""The map of a bed, as a tree from the LAN to the containers."""

from __future__ import annotations

from rich.tree import Tree

from testbed.report.terminal import Text
from testbed.topology import Bridge, Interface, Node, Port, Topology


def tree(topology: Topology, title: str, host_note: str) -> Tree:
    """Return a tree with the first LAN as the root, the devices connected to it as branches, and so on.

    A router or a switch that several ways lead to has its branches at the first of them.
    """
    switch, *others = [node for node in topology.nodes if node.bridges and not node.addresses]
    root = Tree(Text.assemble((title, "bold"), f"  {'first' if others else 'one'} LAN, {_subnet(topology, switch)}"))
    drawn = {switch.name}
    for interface in switch.interfaces:
        _add(root, topology, _behind(topology, Port(switch.name, interface.name)), host_note, drawn)
    return root


def _add(branch: Tree, topology: Topology, port: Port, host_note: str, drawn: set[str]) -> None:
    node = topology.node(port.node)
    note = Text(f"  {host_note}" if node.name == topology.host else "", "dim")
    here = branch.add(Text.assemble((node.name, "bold cyan"), "  ", _device(node.interface(port.device)), note))
    if node.name in drawn:
        return
    if node.passes_on:
        drawn.add(node.name)
    for bridge in node.bridges:
        below = here.add(_device(bridge))
        for interface in node.interfaces:
            if interface.master == bridge.name and interface.name != port.device:
                plug = below.add(Text(interface.name, "dim"))
                _add(plug, topology, _behind(topology, Port(node.name, interface.name)), host_note, drawn)
    for interface in node.interfaces:
        if interface.name != port.device and interface.master is None and node.passes_on:
            way = here.add(_device(interface))
            _add(way, topology, _behind(topology, Port(node.name, interface.name)), host_note, drawn)


def _behind(topology: Topology, port: Port) -> Port:
    return next(link.other(port) for link in topology.links if port in (link.a, link.b))


def _device(device: Interface | Bridge) -> Text:
    addresses = " ".join(str(address) for address in device.addresses)
    scripted = " ".join(str(address) for address in getattr(device, "scripted", ()))
    shown = Text.assemble(device.name, (f" {addresses}" if addresses else "", "green"))
    if scripted:
        shown.append(f"  {scripted}", "magenta").append(" (scripted)", "dim")
    return shown


def _subnet(topology: Topology, switch: Node) -> str:
    found = topology.segment(Port(switch.name, switch.bridges[0].name))
    _, device = next(iter(found))
    return str((*device.addresses, *getattr(device, "scripted", ()))[0].network)
