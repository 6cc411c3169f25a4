"""What all engines that speak iptables or ip6tables write into the nat table."""

from __future__ import annotations

from testbed.docker.engines.tables import Tables
from testbed.docker.engines.view import Bridged, NetworkAttachment, View
from testbed.docker.host import GatewayMode, PublishedPort

_TO_LOCAL = "-m addrtype --dst-type LOCAL -j DOCKER"


def start(tables: Tables, view: View) -> None:
    """Where packets for the host's own addresses turn off; its loopback is left to the userland proxy, if there is."""
    tables.append("nat", "PREROUTING", _TO_LOCAL)
    outside = f"! -d {view.family.loopback} " if view.userland_proxy else ""
    tables.append("nat", "OUTPUT", f"{outside}{_TO_LOCAL}")


def network(tables: Tables, view: View, network: Bridged, returns: bool) -> None:
    """The way out under the host's address; `returns`: containers' calls of the host's ports are not translated."""
    bridge = network.bridge
    if network.internal:
        return
    if network.masquerade and network.mode is not GatewayMode.ROUTED:
        tables.insert("nat", "POSTROUTING", f"-s {network.subnet} ! -o {bridge} -j {network.translated}")
    if not view.userland_proxy:
        tables.insert("nat", "POSTROUTING", f"-o {bridge} -m addrtype --src-type LOCAL -j {network.translated}")
    if returns:
        tables.insert("nat", "DOCKER", f"-i {bridge} -j RETURN")


def port(tables: Tables, view: View, attached: NetworkAttachment, port: PublishedPort, but: str = "") -> None:
    """The translation of a published port, but not for packets that match `but`."""
    if attached.network.mode is GatewayMode.ROUTED:
        return
    to = "" if port.everywhere else f"-d {port.address}/{view.family.bits} "
    outside = f"! -i {attached.network.bridge} " if view.userland_proxy else ""
    match = f"-p {port.protocol} -m {port.protocol} --dport {port.host}"
    target = view.family.to(attached.address, port.container)
    tables.append("nat", "DOCKER", f"{but}{to}{outside}{match} -j DNAT --to-destination {target}")


def hairpin(tables: Tables, view: View, attached: NetworkAttachment, port: PublishedPort) -> None:
    """A container that reaches itself by its published port must be answered by way of the host."""
    own = f"{attached.address}/{view.family.bits}"
    match = f"-p {port.protocol} -m {port.protocol} --dport {port.container}"
    tables.append_once("nat", "POSTROUTING", f"-s {own} -d {own} {match} -j MASQUERADE")


def accepted(view: View, attached: NetworkAttachment, port: PublishedPort) -> str:
    """The rule of filter DOCKER that lets a published port's packets through."""
    bridge = attached.network.bridge
    match = f"-p {port.protocol} -m {port.protocol} --dport {port.container}"
    return f"-d {attached.address}/{view.family.bits} ! -i {bridge} -o {bridge} {match} -j ACCEPT"


def internal(network: Bridged, guarded: bool) -> tuple[str, str]:
    """The two rules that keep an internal network's packets from leaving it, and others' from entering.

    `guarded`: the rules for IPv6 speak of packets that cross the bridge only, since what a link says to itself has
    addresses of its own there.
    """
    inward, outward = (f"! -i {network.bridge} ", f" ! -o {network.bridge}") if guarded else ("", "")
    return (
        f"! -s {network.subnet} {inward}-o {network.bridge} -j DROP",
        f"! -d {network.subnet} -i {network.bridge}{outward} -j DROP",
    )
