"""A Docker host written down in a file (docker.yaml), in the words of Docker's own files.

`services` and `networks` are those of a compose file, `daemon` is daemon.json's. What has no part in packet filtering
(image, command, volumes ...) is passed over; any other key that is not known is an error. A service that names no
network is on docker0, as after `docker run`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from testbed.docker import naming
from testbed.docker.host import Container, DockerHost, GatewayMode, Network
from testbed.docker.network import AROUND
from testbed.docker.ports import published_ports
from testbed.docker.tree import Tree
from testbed.errors import TopologyError
from testbed.rules.files import text_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")
_DEFAULT = "bridge"  # what Docker calls the network of docker0
_OPTION = "com.docker.network.bridge."
_OPTIONS = tuple(f"{_OPTION}{key}" for key in ("name", "enable_icc", "enable_ip_masquerade", "gateway_mode_ipv4"))
_NO_PART = (
    *("image", "build", "command", "entrypoint", "environment", "env_file", "volumes", "restart", "labels"),
    *("container_name", "depends_on", "user", "working_dir", "healthcheck", "logging", "deploy", "hostname"),
    *("tty", "stdin_open", "init", "stop_signal"),
)


def read(path: Path | str) -> DockerHost:
    """The host that a file describes; TopologyError, with the line, for what is not known or cannot be."""
    return parse(text_of_host(path), str(path))


def text_of_host(path: Path | str) -> str:
    """What such a file says; TopologyError when it cannot be read."""
    return text_of(path, "Give a file that describes a host.", TopologyError)


def parse(text: str, source: str = "the host file") -> DockerHost:
    """The host that a text describes; raises as `read` does."""
    tree = Tree.parse(text, source)
    tree.only("daemon", "networks", "services", "version", "name")
    daemon = tree.child("daemon")
    docker0 = _docker0(daemon)
    host = DockerHost((docker0,), (), daemon.flag("userland-proxy", True))
    names = {_DEFAULT: docker0}
    for name, entry in tree.child("networks").mapping:
        names[name] = _network(name, entry, host)
        with entry.blamed():
            host = replace(host, networks=(*host.networks, names[name]))
    for name, entry in tree.child("services").mapping:
        host = _with_service(host, name, entry, names)
    return host


def _docker0(daemon: Tree) -> Network:
    daemon.only("userland-proxy", "icc", "ip-masq", "bip")
    gateway = daemon.value("bip", IPv4Interface, IPv4Interface("172.17.0.1/16"))
    icc, masquerade = daemon.flag("icc", True), daemon.flag("ip-masq", True)
    return Network("docker0", gateway, naming.mac(gateway.ip), icc=icc, masquerade=masquerade)


def _network(name: str, tree: Tree, host: DockerHost) -> Network:
    tree.only("internal", "ipam", "driver", "driver_opts", "name")
    if (driver := tree.text("driver", "bridge")) != "bridge":
        raise tree.child("driver").error(f"the driver {driver} is not known; a bed has bridge networks.")
    options = tree.child("driver_opts")
    options.only(*_OPTIONS)
    gateway = _gateway(tree.child("ipam"), host)
    return Network(
        options.text(f"{_OPTION}name", naming.bridge(name)),
        gateway,
        naming.mac(gateway.ip),
        icc=options.flag(f"{_OPTION}enable_icc", True),
        masquerade=options.flag(f"{_OPTION}enable_ip_masquerade", True),
        internal=tree.flag("internal", False),
        mode=options.value(f"{_OPTION}gateway_mode_ipv4", GatewayMode, GatewayMode.NAT),
    )


def _gateway(ipam: Tree, host: DockerHost) -> IPv4Interface:
    """The bridge's address: the one asked for, else the first of the subnet."""
    ipam.only("config")
    pools = ipam.child("config").items
    if len(pools) > 1:
        raise pools[1].error("a network of a bed has one subnet.")
    pool = pools[0] if pools else ipam
    if pools:
        pool.only("subnet", "gateway")
    subnet = pool.value("subnet", IPv4Network, _free_subnet(host))
    address = pool.value("gateway", IPv4Address, subnet[1])
    if address not in subnet:
        raise pool.error(f"the gateway {address} is not in {subnet}.")
    return IPv4Interface(f"{address}/{subnet.prefixlen}")


def _free_subnet(host: DockerHost) -> IPv4Network:
    """The first of 172.17.0.0/16, 172.18.0.0/16 ... that no network has, as Docker gives them out."""
    taken = [network.subnet for network in host.networks]
    pools = (IPv4Network(f"172.{second}.0.0/16") for second in range(17, 32))
    return next(pool for pool in pools if not any(pool.overlaps(other) for other in taken))


def _with_service(host: DockerHost, name: str, tree: Tree, names: dict[str, Network]) -> DockerHost:
    tree.only("ports", "networks", *_NO_PART)
    if not _NAME.fullmatch(name):
        raise tree.error(f"{name!r} is no name for a container.", "Use two or more letters, digits, dots, - and _.")
    if name in AROUND:
        raise tree.error(f"a service cannot be called {name}: every bed has a node of that name.", "Rename it.")
    network, address = _attachment(name, tree.child("networks"), host, names)
    veth = naming.veth(name)
    container = Container(name, network, address, naming.mac(address), veth, naming.veth_mac(name))
    before = host.containers
    with tree.blamed():
        host = replace(host, containers=(*before, container))
    for item in tree.child("ports").items:
        with item.blamed():
            container = replace(container, published=(*container.published, *published_ports(item.word)))
            host = replace(host, containers=(*before, container))
    return host


def _attachment(name: str, tree: Tree, host: DockerHost, names: dict[str, Network]) -> tuple[Network, IPv4Address]:
    """The network of a service and its address there: the one asked for, else the next that is free."""
    attached = tree.entries
    if len(attached) > 1:
        raise attached[1][1].error(f"service {name} is on several networks; a container of a bed is on one.")
    chosen, entry = attached[0] if attached else (_DEFAULT, tree)
    if chosen not in names:
        raise entry.error(f"there is no network {chosen}; there are {', '.join(names)}.")
    network = names[chosen]
    taken = {network.gateway.ip, *(container.address for container in host.containers)}
    free = next(address for address in network.subnet.hosts() if address not in taken)
    if not attached:
        return network, free
    entry.only("ipv4_address")
    address = entry.value("ipv4_address", IPv4Address, free)
    if address not in network.subnet:
        raise entry.child("ipv4_address").error(f"{address} is not in {network.subnet}.")
    return network, address
