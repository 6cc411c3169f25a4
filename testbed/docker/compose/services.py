"""The services of a compose file: what each asks for of networks, addresses and ports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from testbed.docker.compose import keys
from testbed.docker.compose.networks import DEFAULT, DOCKER0, DOCKER0_KEY
from testbed.docker.ports import PortRequest
from testbed.docker.ports import exposed as exposed_ports
from testbed.docker.ports import requested as requested_ports
from testbed.docker.problems import Problems
from testbed.docker.tree import Tree

_NAME = re.compile(r"[a-zA-Z0-9._-]+")
_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
_MOST = 1000  # containers of one service
SERVICE, CONTAINER = "service:", "container:"
HOST, NONE, BRIDGE = "host", "none", "bridge"


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """A connection with the network of that key, as a service asks for it."""

    network: str
    tree: Tree
    aliases: tuple[str, ...] = ()
    address: IPv4Address | None = None
    address6: IPv6Address | None = None
    mac: str = ""
    priority: int = 0
    gateway_priority: int = 0


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """A service as the file asks for it; with a `mode` other than bridge it has no networks of its own.

    `exposed` are ports with their protocols. Without `on_bridges` all its networks are of the LAN.
    """

    name: str
    tree: Tree
    mode: str
    endpoints: tuple[EndpointRequest, ...]
    ports: tuple[tuple[PortRequest, Tree], ...]
    replicas: int
    container_name: str
    needs: tuple[str, ...]
    profiles: tuple[str, ...]
    remarks: tuple[str, ...]
    exposed: tuple[tuple[int, str], ...] = ()
    on_bridges: bool = True


def requested(tree: Tree, known: Mapping[str, object], problems: Problems) -> list[ServiceRequest]:
    """Return the services of the file, in its order; `known` are the networks by their keys."""
    found = []
    for name, entry in tree.mapping:
        with problems.collected():
            if not _NAME.fullmatch(name):
                raise entry.error(f"{name!r} is no name for a container.", "Use letters, digits, dots, - and _.")
            found.append(_request(name, entry, known, problems))
    return found


def _request(name: str, tree: Tree, known: Mapping[str, object], problems: Problems) -> ServiceRequest:
    keys.only(tree, keys.SERVICE, problems)
    mode = tree.text("network_mode")
    if mode and tree.child("networks").entries:
        problems.add(tree.child("network_mode").error("a service has `network_mode` or `networks`.", "Remove one."))
    return ServiceRequest(
        name,
        tree,
        mode,
        _endpoints(tree, mode, known, problems),
        _ports(tree.child("ports"), problems),
        _replicas(tree),
        _container_name(tree),
        tuple(_needs(tree, mode)),
        tuple(tree.child("profiles").words),
        tuple(_remarks(name, tree)),
        tuple(exposed_ports(tree.child("expose"), problems)),
    )


def _endpoints(tree: Tree, mode: str, known: Mapping[str, object], problems: Problems) -> tuple[EndpointRequest, ...]:
    if mode in (BRIDGE, DEFAULT):
        return (EndpointRequest(DOCKER0_KEY, Tree(None, tree.source, tree.line), mac=_mac(tree)),)
    if mode:
        return ()
    found = []
    for key, entry in tree.child("networks").entries or [(DEFAULT, Tree(None, tree.source, tree.line))]:
        with problems.collected():
            if key not in known and key != DOCKER0:
                names = ", ".join(dict.fromkeys((DOCKER0, *known)))
                raise entry.error(f"there is no network {key}; there are {names}.", "Add it to `networks`.")
            found.append(_endpoint(key if key in known else DOCKER0_KEY, entry, problems))
    found.sort(key=lambda endpoint: -endpoint.priority)
    if found and (mac := _mac(tree)) and not found[0].mac:
        found[0] = replace(found[0], mac=mac)
    return tuple(found)


def _endpoint(key: str, tree: Tree, problems: Problems) -> EndpointRequest:
    keys.only(tree, keys.ENDPOINT, problems)
    nothing: IPv4Address | None = None
    nothing6: IPv6Address | None = None
    return EndpointRequest(
        key,
        tree,
        tuple(tree.child("aliases").words),
        tree.converted("ipv4_address", IPv4Address, nothing),
        tree.converted("ipv6_address", IPv6Address, nothing6),
        _mac(tree),
        tree.number("priority", 0),
        tree.number("gw_priority", 0),
    )


def _mac(tree: Tree) -> str:
    mac = tree.text("mac_address")
    if mac and not _MAC.fullmatch(mac):
        raise tree.child("mac_address").error(f"{mac!r} is no hardware address.", "Write it as 02:42:ac:11:00:02.")
    return mac.replace("-", ":").lower()


def _ports(tree: Tree, problems: Problems) -> tuple[tuple[PortRequest, Tree], ...]:
    found: dict[PortRequest, tuple[PortRequest, Tree]] = {}
    for item in tree.items:
        with problems.collected():
            for port in requested_ports(item):
                found.setdefault(port, (port, item))
    return tuple(found.values())


def _replicas(tree: Tree) -> int:
    deploy = tree.child("deploy")
    asked = {name: part.number(name, 1) for name, part in (("scale", tree), ("replicas", deploy))}
    said = [value for name, value in asked.items() if not (tree if name == "scale" else deploy).child(name).is_absent]
    if len(set(said)) > 1:
        raise tree.error("`scale` and `deploy.replicas` say different numbers.", "Remove one of them.")
    number = said[0] if said else 1
    if not 0 <= number <= _MOST:
        raise tree.error(f"a service of a bed has up to {_MOST} containers, not {number}.", "Lower the number.")
    return number


def _container_name(tree: Tree) -> str:
    name = tree.text("container_name")
    if name and not _CONTAINER_NAME.fullmatch(name):
        raise tree.child("container_name").error(
            f"{name!r} is no name for a container.", "Use letters, digits, dots, - and _."
        )
    if name and _replicas(tree) > 1:
        raise tree.child("container_name").error("several containers cannot have one name.", "Remove the name.")
    return name


def _needs(tree: Tree, mode: str) -> list[str]:
    """The services that are started before this one."""
    before = [key for key, entry in tree.child("depends_on").entries if not _is_optional(entry)]
    before += [link.partition(":")[0] for link in tree.child("links").words]
    volumes = tree.child("volumes_from").words
    before += [volume.partition(":")[0] for volume in volumes if not volume.startswith(CONTAINER)]
    return before + ([mode.removeprefix(SERVICE)] if mode.startswith(SERVICE) else [])


def _is_optional(tree: Tree) -> bool:
    return isinstance(tree.value, dict) and not tree.flag("required", True)


def _remarks(name: str, tree: Tree) -> list[str]:
    """What means something for packets and has no part in a bed."""
    said = []
    network = [key for key, _ in tree.child("sysctls").pairs if key.startswith("net.")]
    if network:
        said.append(f"{name}: the sysctls {', '.join(network)} of the container are not set in the bed.")
    for key, endpoint in tree.child("networks").entries:
        said += [
            f"{name}: {option} on {key} is not set in the bed."
            for option in ("link_local_ips", "driver_opts")
            if isinstance(endpoint.value, dict) and endpoint.child(option).value
        ]
    return said
