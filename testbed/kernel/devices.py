"""Configure a node's namespace: devices, addresses, routes, neighbours, sysctls."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from collections.abc import Container, Mapping
from ipaddress import IPv6Interface
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from testbed.errors import KernelRefused, MissingRequirement, TestbedError
from testbed.kernel import capabilities, ipv6, route_setup, sysctls
from testbed.kernel.linkwatch import LinkWatch
from testbed.kernel.namespace import DOCTOR, Namespace
from testbed.topology import AddressWithPrefix, Interface, Link, Node, Port, Topology

_UP = {"flags": 1, "change": 1}  # IFF_UP, include/uapi/linux/if.h
_IFA_F_NODAD = 0x02  # include/uapi/linux/if_addr.h
_SIOCETHTOOL = 0x8946  # include/uapi/linux/sockios.h
_ETHTOOL_STXCSUM = 0x17  # include/uapi/linux/ethtool.h


def build(topology: Topology, namespaces: Mapping[str, Namespace]) -> None:
    """Configure empty namespaces, one per node, as the topology says.

    Raises KernelRefused with the kernel's reason, MissingRequirement when a kernel feature is missing.
    """
    watches = {node.name: LinkWatch(namespaces[node.name]) for node in topology.nodes}
    for node in topology.nodes:
        namespaces[node.name].run(write_sysctls, node.sysctls)
        _netlink(namespaces[node.name], f"the bridges of {node.name}", lambda ip, node=node: _add_bridges(ip, node))
    for link in topology.links:
        _add_link(topology, link, namespaces)
    born_up = {link.a for link in topology.links}
    for node in topology.nodes:
        _netlink(
            namespaces[node.name],
            f"the network of {node.name}",
            lambda ip, node=node: _configure(ip, topology, node, born_up),
        )
        namespaces[node.name].run(_finish, node)
    for node in topology.nodes:
        watches[node.name].wait_until_up(_that_come_up(node))
    for node in topology.nodes:
        own = [a.ip for device in node.devices for a in device.addresses if isinstance(a, IPv6Interface)]
        if own:
            namespaces[node.name].run(ipv6.wait_until_usable, own)


def _that_come_up(node: Node) -> list[str]:
    """Return all devices but bridges without a port: those have no carrier (br_dev_open, net/bridge/br_device.c)."""
    ports = {interface.master for interface in node.interfaces}
    return [i.name for i in node.interfaces] + [bridge.name for bridge in node.bridges if bridge.name in ports]


def write_sysctls(settings: tuple[tuple[str, str], ...]) -> None:
    """Write (key, value) pairs in the calling thread's network namespace, in that order.

    A dot of a device's name is a slash in a key, as for sysctl(8): net.ipv4.conf.eth0/100.rp_filter.
    """
    for key, value in settings:
        path = sysctls.path_of(key)
        try:
            path.write_text(value)
        except FileNotFoundError as error:
            if key.startswith("net.ipv6."):
                continue  # a kernel without IPv6 sends no IPv6 packets of its own
            raise MissingRequirement(f"this kernel has no sysctl {key}.", DOCTOR) from error
        except OSError as error:
            raise KernelRefused(
                f"the sysctl {key} cannot be set to {value!r}: {error.strerror}.",
                "docs/rootless.md says what it needs.",
            ) from error


def _netlink(namespace: Namespace, what: str, action: Any) -> None:
    try:
        namespace.netlink(action)
    except NetlinkError as error:
        raise refused(what, error) from error


def refused(what: str, error: NetlinkError) -> TestbedError:
    return KernelRefused(f"the kernel refused {what}: {error.args[-1]}.", DOCTOR)


def _add_bridges(ip: IPRoute, node: Node) -> None:
    ip.link("set", index=1, **_UP)
    for bridge in node.bridges:
        wish = {"ifname": bridge.name, "index": node.indexes[bridge.name], "address": bridge.mac, "mtu": bridge.mtu}
        ip.link("add", kind="bridge", br_mcast_snooping=0, **wish, **_UP)


def _add_link(topology: Topology, link: Link, namespaces: Mapping[str, Namespace]) -> None:
    """Make both ends of a link in one request, each in its namespace with its index and address.

    The kernel takes the far end's index from the header of the nested message, and only if the near end also has one
    (veth_newlink, drivers/net/veth.c). The far end cannot be created up: it has no peer yet (veth_open: ENOTCONN).
    """
    near, far = (topology.node(port.node) for port in (link.a, link.b))
    far_end = {
        "index": far.indexes[link.b.device],
        "attrs": [
            ["IFLA_IFNAME", link.b.device],
            ["IFLA_ADDRESS", far.interface(link.b.device).mac],
            ["IFLA_MTU", far.interface(link.b.device).mtu],
            ["IFLA_NET_NS_FD", namespaces[far.name].fd],
        ],
    }
    pair = [["IFLA_INFO_KIND", "veth"], ["IFLA_INFO_DATA", {"attrs": [["VETH_INFO_PEER", far_end]]}]]
    wish = {
        "ifname": link.a.device,
        "index": near.indexes[link.a.device],
        "address": near.interface(link.a.device).mac,
        "mtu": near.interface(link.a.device).mtu,
        "IFLA_LINKINFO": {"attrs": pair},
    }
    _netlink(namespaces[near.name], f"the link between {link.a} and {link.b}", lambda ip: ip.link("add", **wish, **_UP))


def _configure(ip: IPRoute, topology: Topology, node: Node, born_up: Container[Port]) -> None:
    index = node.indexes
    for interface in node.interfaces:
        wish = {"master": index[interface.master]} if interface.master is not None else {}
        if wish or Port(node.name, interface.name) not in born_up:
            ip.link("set", index=index[interface.name], **wish, **_UP)
        if interface.hairpin:
            ip.brport("set", index=index[interface.name], mode=1)
        if interface.isolated:
            ip.brport("set", index=index[interface.name], isolated=1)
        for altname in interface.altnames:
            ip.link("property_add", index=index[interface.name], altname=altname)
    for device in node.devices:
        for address in device.addresses:
            ip.addr("add", index=index[device.name], **_address(address))
    route_setup.add_routes(ip, node)
    route_setup.add_rules(ip, node)
    for neighbour in (*topology.neighbours(node.name), *node.static_neighbours):
        entry = {"dst": str(neighbour.address), "lladdr": neighbour.mac, "state": "permanent"}
        ip.neigh("replace", ifindex=index[neighbour.device], **entry)


def _address(address: AddressWithPrefix) -> dict[str, Any]:
    """Return the netlink attributes of an address.

    An IPv6 address skips duplicate address detection (RFC 4862), since the topology has no duplicates. It is usable at
    once.
    """
    if isinstance(address, IPv6Interface):
        return {"address": str(address.ip), "prefixlen": address.network.prefixlen, "flags": _IFA_F_NODAD}
    return {
        "address": str(address.ip),
        "prefixlen": address.network.prefixlen,
        "broadcast": str(address.network.broadcast_address),
    }


def _finish(node: Node) -> None:
    """Write the sysctls of devices and turn off checksum offload.

    With the offload on, a veth passes packets with a partial checksum and in segments larger than the MTU. The packets
    and bytes would then differ from those on a wire.
    """
    write_sysctls(node.late_sysctls)
    if not capabilities.may(capabilities.NET_BIND_SERVICE):
        write_sysctls((("net.ipv4.ip_unprivileged_port_start", "0"),))  # of this namespace, for its listeners
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for interface in node.interfaces:
            if not interface.master:
                _checksum_offload_off(control, interface)


def _checksum_offload_off(control: socket.socket, interface: Interface) -> None:
    value = array.array("B", struct.pack("=II", _ETHTOOL_STXCSUM, 0))
    address, _ = value.buffer_info()
    fcntl.ioctl(control, _SIOCETHTOOL, struct.pack("16sP", interface.name.encode(), address).ljust(40, b"\0"))
