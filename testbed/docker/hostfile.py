"""A Docker host written down in a file (docker.yaml), in the words of Docker's own files.

`services` and `networks` are those of a compose file, `daemon` is daemon.json's. What has no part in packet filtering
(image, command, volumes ...) is passed over; any other key that is not known is an error. A service that names no
network is on docker0, as after `docker run`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_network,
)
from pathlib import Path
from typing import TypeVar

from testbed.docker import naming
from testbed.docker.host import Attachment, Container, DockerHost, GatewayMode, Network
from testbed.docker.network import AROUND, HOST_ADDRESS
from testbed.docker.ports import published_ports
from testbed.docker.tree import Tree
from testbed.errors import TopologyError
from testbed.rules.files import text_of

A = TypeVar("A", IPv4Address, IPv6Address)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")
_POOLS = (
    *(IPv4Network(f"172.{second}.0.0/16") for second in range(17, 32)),
    *IPv4Network("192.168.0.0/16").subnets(new_prefix=20),
)
_ROOM = 4  # addresses: two of a subnet's own, a bridge's, a container's
_DEFAULT = "bridge"  # what Docker calls the network of docker0
_DAEMON = (
    *("userland-proxy", "icc", "ip-masq", "bip", "iptables", "ip6tables", "experimental"),
    *("ipv6", "fixed-cidr-v6"),
)
_OPTION = "com.docker.network.bridge."
_OPTIONS = tuple(
    f"{_OPTION}{key}"
    for key in ("name", "enable_icc", "enable_ip_masquerade", "gateway_mode_ipv4", "gateway_mode_ipv6")
)
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
    ip6tables = daemon.flag("ip6tables", True) if "ip6tables" in dict(daemon.mapping) else None
    host = DockerHost((docker0,), (), daemon.flag("userland-proxy", True), ip6tables, daemon.flag("iptables", True))
    names = {_DEFAULT: docker0}
    for name, entry in tree.child("networks").mapping:
        names[name] = _network(name, entry, host)
        with entry.blamed():
            host = replace(host, networks=(*host.networks, names[name]))
    for name, entry in tree.child("services").mapping:
        host = _with_service(host, name, entry, names)
    return host


def _docker0(daemon: Tree) -> Network:
    daemon.only(*_DAEMON)
    gateway = daemon.value("bip", IPv4Interface, IPv4Interface("172.17.0.1/16"))
    icc, masquerade = daemon.flag("icc", True), daemon.flag("ip-masq", True)
    network = Network("docker0", gateway, naming.mac(gateway.ip), name=_DEFAULT, icc=icc, masquerade=masquerade)
    return replace(network, gateway6=_gateway_of_docker0(daemon))


def _gateway_of_docker0(daemon: Tree) -> IPv6Interface | None:
    """The first of `fixed-cidr-v6`, which engines pass over where `ipv6` is not on."""
    unasked: IPv6Network | None = None
    subnet = daemon.value("fixed-cidr-v6", IPv6Network, unasked)
    if not daemon.flag("ipv6", False):
        return None
    if subnet is None:
        raise daemon.child("ipv6").error(
            "docker0 with IPv6 wants a subnet.",
            "Write `fixed-cidr-v6` too; without it engines before 28 do not start, and 28 makes one up by chance.",
        )
    if subnet.num_addresses < _ROOM:
        raise daemon.child("fixed-cidr-v6").error(f"{subnet} has no room for a bridge and a container.")
    return IPv6Interface(f"{subnet[1]}/{subnet.prefixlen}")


def _network(name: str, tree: Tree, host: DockerHost) -> Network:
    tree.only("internal", "enable_ipv6", "ipam", "driver", "driver_opts", "name")
    if (driver := tree.text("driver", "bridge")) != "bridge":
        raise tree.child("driver").error(f"the driver {driver} is not known; a bed has bridge networks.")
    options = tree.child("driver_opts")
    options.only(*_OPTIONS)
    mode = options.value(f"{_OPTION}gateway_mode_ipv4", GatewayMode, GatewayMode.NAT)
    mode6 = options.value(f"{_OPTION}gateway_mode_ipv6", GatewayMode, GatewayMode.NAT)
    gateway, gateway6 = _gateways(tree, host, {4: mode, 6: mode6})
    return Network(
        options.text(f"{_OPTION}name", naming.bridge(name)),
        gateway,
        naming.mac(gateway.ip),
        name=name,
        icc=options.flag(f"{_OPTION}enable_icc", True),
        masquerade=options.flag(f"{_OPTION}enable_ip_masquerade", True),
        internal=tree.flag("internal", False),
        mode=mode,
        gateway6=gateway6,
        mode6=mode6,
    )


def _gateways(
    tree: Tree, host: DockerHost, modes: dict[int, GatewayMode]
) -> tuple[IPv4Interface, IPv6Interface | None]:
    """The bridge's addresses: those asked for, else the first of the subnet; IPv6's where the network has IPv6.

    In mode isolated an engine keeps none back that is not asked for, and the first is a container's (28.5.2).
    """
    ipam = tree.child("ipam")
    ipam.only("config")
    gateway, gateway6 = None, None
    for pool in ipam.child("config").items:
        pool.only("subnet", "gateway")
        found = _gateway(pool, host, modes)
        if (gateway if found.version == 4 else gateway6) is not None:
            raise pool.error(f"a network of a bed has one subnet of IPv{found.version}.")
        if isinstance(found, IPv4Interface):
            gateway = found
        else:
            gateway6 = found
    if tree.flag("enable_ipv6", False) != (gateway6 is not None):
        raise tree.error(
            "a network with IPv6 has `enable_ipv6: true` and a subnet of IPv6 in `ipam.config`.",
            "Write both or neither; an engine would make up a subnet by chance.",
        )
    if gateway is not None:
        return gateway, gateway6
    with tree.blamed():
        subnet = _free_subnet(host)
    return IPv4Interface(f"{_unasked(subnet, modes[4])}/{subnet.prefixlen}"), gateway6


def _gateway(pool: Tree, host: DockerHost, modes: dict[int, GatewayMode]) -> IPv4Interface | IPv6Interface:
    unasked: IPv4Network | IPv6Network | None = None
    subnet = pool.value("subnet", ip_network, unasked) or _free_subnet(host)
    if subnet.num_addresses < _ROOM:
        raise pool.error(f"{subnet} has no room for a bridge and a container.")
    address = pool.value("gateway", ip_address, _unasked(subnet, modes[subnet.version]))
    if address not in subnet:
        raise pool.error(f"the gateway {address} is not in {subnet}.")
    if isinstance(address, IPv4Address):
        return IPv4Interface(f"{address}/{subnet.prefixlen}")
    return IPv6Interface(f"{address}/{subnet.prefixlen}")


def _unasked(subnet: IPv4Network | IPv6Network, mode: GatewayMode) -> IPv4Address | IPv6Address:
    """The gateway of a network that names none: in mode isolated the subnet's own address, which nobody can have."""
    return subnet[0] if mode is GatewayMode.ISOLATED else subnet[1]


def _free_subnet(host: DockerHost) -> IPv4Network:
    """The first of Docker's own pools that no network has, nor the host's LAN (moby, libnetwork/ipamutils)."""
    taken = [HOST_ADDRESS.network, *(network.subnet for network in host.networks)]
    for pool in _POOLS:
        if not any(pool.overlaps(other) for other in taken):
            return pool
    raise TopologyError("all subnets that Docker gives out by itself are taken.", "Write `subnet` for this network.")


def _with_service(host: DockerHost, name: str, tree: Tree, names: dict[str, Network]) -> DockerHost:
    tree.only("ports", "networks", *_NO_PART)
    if not _NAME.fullmatch(name):
        raise tree.error(f"{name!r} is no name for a container.", "Use two or more letters, digits, dots, - and _.")
    if name in AROUND:
        raise tree.error(f"a service cannot be called {name}: every bed has a node of that name.", "Rename it.")
    first, *also = _attachments(name, tree.child("networks"), host, names)
    container = Container(
        name,
        first.network,
        first.address,
        first.mac,
        first.veth,
        first.veth_mac,
        address6=first.address6,
        also=tuple(also),
    )
    before = host.containers
    with tree.blamed():
        host = replace(host, containers=(*before, container))
    for item in tree.child("ports").items:
        with item.blamed():
            container = replace(container, published=(*container.published, *published_ports(item.word)))
            host = replace(host, containers=(*before, container))
    return host


def _attachments(name: str, tree: Tree, host: DockerHost, names: dict[str, Network]) -> Iterator[Attachment]:
    """The connections of a service, in the order in which they are written."""
    for number, (chosen, entry) in enumerate(tree.entries or [(_DEFAULT, tree)]):
        if chosen not in names:
            raise entry.error(f"there is no network {chosen}; there are {', '.join(names)}.")
        end = f"{name}:eth{number}" if number else name
        with entry.blamed():
            address, address6 = _free(host, names[chosen])
        if tree.entries:
            entry.only("ipv4_address", "ipv6_address")
            address, address6 = _wishes(entry, names[chosen], address, address6)
        made_up = (naming.mac(address), naming.veth(end), naming.veth_mac(end))
        yield Attachment(names[chosen], address, *made_up, address6=address6)


def _wishes(
    entry: Tree, network: Network, address: IPv4Address, address6: IPv6Address | None
) -> tuple[IPv4Address, IPv6Address | None]:
    """The addresses asked for, else those given."""
    address = _wished(entry, "ipv4_address", IPv4Address, address, network.subnet)
    if address6 is not None and network.subnet6 is not None:
        return address, _wished(entry, "ipv6_address", IPv6Address, address6, network.subnet6)
    if "ipv6_address" in dict(entry.mapping):
        raise entry.child("ipv6_address").error(
            f"the network {network.name} has no IPv6.", "Give it `enable_ipv6: true`."
        )
    return address, None


def _free(host: DockerHost, network: Network) -> tuple[IPv4Address, IPv6Address | None]:
    """The next addresses of a network that nobody has; TopologyError when there is none."""
    taken = set(host.addresses())
    address = next((free for free in network.subnet.hosts() if free not in taken), None)
    if address is None:
        raise TopologyError(f"{network.subnet} has no free address any more.", "Give the network a larger subnet.")
    if network.subnet6 is None:
        return address, None
    return address, next((free for free in network.subnet6.hosts() if free not in taken), None)


def _wished(entry: Tree, key: str, kind: Callable[[str], A], otherwise: A, subnet: IPv4Network | IPv6Network) -> A:
    address = entry.value(key, kind, otherwise)
    if address not in subnet:
        raise entry.child(key).error(f"{address} is not in {subnet}.")
    return address
