"""What all engines that speak iptables write into the nat table."""

from __future__ import annotations

from testbed.docker.engines.tables import Tables
from testbed.docker.host import Container, DockerHost, GatewayMode, Network, PublishedPort

_TO_LOCAL = "-m addrtype --dst-type LOCAL -j DOCKER"


def start(tables: Tables, host: DockerHost) -> None:
    """Where packets for the host's own addresses turn off; its loopback is left to the userland proxy, if there is."""
    tables.chains("nat", ["DOCKER"])
    tables.append("nat", "PREROUTING", _TO_LOCAL)
    tables.append("nat", "OUTPUT", f"! -d 127.0.0.0/8 {_TO_LOCAL}" if host.userland_proxy else _TO_LOCAL)


def network(tables: Tables, host: DockerHost, network: Network, returns: bool) -> None:
    """The way out under the host's address; `returns`: containers' calls of the host's ports are left to the proxy."""
    bridge = network.bridge
    if network.internal:
        return
    if network.masquerade and network.mode is not GatewayMode.ROUTED:
        tables.insert("nat", "POSTROUTING", f"-s {network.subnet} ! -o {bridge} -j MASQUERADE")
    if not host.userland_proxy:
        tables.insert("nat", "POSTROUTING", f"-o {bridge} -m addrtype --src-type LOCAL -j MASQUERADE")
    elif returns and network.masquerade:
        tables.insert("nat", "DOCKER", f"-i {bridge} -j RETURN")


def port(tables: Tables, host: DockerHost, container: Container, port: PublishedPort) -> None:
    """The translation of a published port."""
    if container.network.mode is GatewayMode.ROUTED:
        return
    to = "" if port.everywhere else f"-d {port.address}/32 "
    outside = f"! -i {container.network.bridge} " if host.userland_proxy else ""
    match = f"-p {port.protocol} -m {port.protocol} --dport {port.host}"
    target = f"{container.address}:{port.container}"
    tables.append("nat", "DOCKER", f"{to}{outside}{match} -j DNAT --to-destination {target}")


def hairpin(tables: Tables, container: Container, port: PublishedPort) -> None:
    """A container that reaches itself by its published port must be answered by way of the host."""
    own = f"-s {container.address}/32 -d {container.address}/32"
    match = f"-p {port.protocol} -m {port.protocol} --dport {port.container}"
    tables.append_once("nat", "POSTROUTING", f"{own} {match} -j MASQUERADE")


def accepted(container: Container, port: PublishedPort) -> str:
    """The rule of filter DOCKER that lets a published port's packets through."""
    bridge = container.network.bridge
    match = f"-p {port.protocol} -m {port.protocol} --dport {port.container}"
    return f"-d {container.address}/32 ! -i {bridge} -o {bridge} {match} -j ACCEPT"
