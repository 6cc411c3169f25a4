"""Networks and containers of Docker and Podman, as their `inspect` commands print them, reduced or whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from testbed.capture import objects
from testbed.capture.objects import Item
from testbed.capture.sections import Section
from testbed.capture.values import (
    CapturedContainer,
    CapturedEndpoint,
    CapturedEngine,
    CapturedNetwork,
)
from testbed.docker.host import PublishedPort
from testbed.errors import TopologyError
from testbed.rules.files import shown
from testbed.topology import Address, AddressWithPrefix, Prefix

_PROGRAMS = ("docker", "podman")
_LABEL = "com.docker.compose."


def engines(found: Mapping[str, Section]) -> Iterator[CapturedEngine]:
    """Yield the engines that answered."""
    for program in _PROGRAMS:
        about: dict[str, Any] = {}
        for item in objects.objects(found.get(program)):
            about |= item.value
        if about.get("Version"):
            security = about.get("Security") or ()
            yield CapturedEngine(
                program,
                str(about["Version"]),
                str(_part(about, "Firewall").get("Driver") or ""),
                about.get("Swarm") == "active",
                any("rootless" in str(one) for one in security),
            )


def networks(found: Mapping[str, Section]) -> Iterator[CapturedNetwork]:
    """Yield the networks of all engines; raises CaptureError for one that is not understood."""
    for program in _PROGRAMS:
        for item in objects.objects(found.get(f"{program}-networks")):
            yield _of_podman(item) if "network_interface" in item.value or "subnets" in item.value else _network(item)


def _network(item: Item) -> CapturedNetwork:
    value = item.value
    pools = value.get("IPAM")
    pools = pools.get("Config") if isinstance(pools, dict) else pools
    return CapturedNetwork(
        item.need("Name"),
        str(value.get("Id") or ""),
        str(value.get("Driver") or ""),
        bool(value.get("Internal")),
        bool(value.get("EnableIPv6")),
        tuple(_pool(item, pool, "Subnet", "Gateway") for pool in pools or () if isinstance(pool, dict)),
        _options(value.get("Options")),
        str(value.get("Created") or ""),
        item.section.line + item.line,
    )


def _of_podman(item: Item) -> CapturedNetwork:
    value = item.value
    options = dict(_options(value.get("options")))
    if value.get("network_interface"):
        options["com.docker.network.bridge.name"] = str(value["network_interface"])
    return CapturedNetwork(
        item.need("name"),
        str(value.get("id") or ""),
        str(value.get("driver") or ""),
        bool(value.get("internal")),
        bool(value.get("ipv6_enabled")),
        tuple(_pool(item, pool, "subnet", "gateway") for pool in value.get("subnets") or () if isinstance(pool, dict)),
        tuple(options.items()),
        str(value.get("created") or ""),
        item.section.line + item.line,
    )


def _options(value: object) -> tuple[tuple[str, str], ...]:
    return tuple((str(key), str(own)) for key, own in value.items()) if isinstance(value, dict) else ()


def _pool(item: Item, value: dict[str, Any], subnet: str, gateway: str) -> tuple[Prefix, Address | None]:
    try:
        network = ip_network(str(value.get(subnet)))
        return network, ip_address(str(value[gateway]).split("/")[0]) if value.get(gateway) else None
    except ValueError:
        item.refuse(f"{shown(str(value.get(subnet)))!r} is no subnet, or {value.get(gateway)!r} no gateway")


def containers(found: Mapping[str, Section]) -> Iterator[CapturedContainer]:
    """Yield the containers of all engines, in the order in which they started; raises CaptureError as `networks`."""
    inodes = _inodes(found.get("namespaces"))
    read = [
        _container(item, inodes)
        for program in _PROGRAMS
        for item in objects.objects(found.get(f"{program}-containers"))
    ]
    return iter(sorted(read, key=lambda container: container.started))


def _inodes(section: Section | None) -> dict[str, str]:
    if section is None or section.failure:
        return {}
    return {key: inode for line in section.lines if len(line.split()) == 2 for key, inode in [line.split()]}


def _container(item: Item, inodes: Mapping[str, str]) -> CapturedContainer:
    value = _reduced(item)
    process = value["Pid"] if isinstance(value.get("Pid"), int) else 0
    mode = str(value.get("Mode") or "default")
    networks_of = value.get("Networks")
    return CapturedContainer(
        str(value.get("Name") or "").lstrip("/") or str(item.need("Id")),
        str(value.get("Id") or ""),
        str(value.get("State") or ""),
        process,
        mode,
        str(value.get("Started") or ""),
        tuple(_wanted(value.get("Bindings"))),
        tuple(dict.fromkeys(_bound(item, value.get("Ports"), _part(value, "Bindings")))),
        tuple(_endpoints(item, networks_of if isinstance(networks_of, dict) else {})),
        str(value.get("Project") or ""),
        str(value.get("Service") or ""),
        inodes.get(str(process), ""),
        item.section.line + item.line,
    )


def _reduced(item: Item) -> dict[str, Any]:
    """Return a container as the script reduces it, also from what `docker inspect` prints as a whole."""
    value = item.value
    if "NetworkSettings" not in value:
        return value
    state, settings, wanted = (_part(value, key) for key in ("State", "NetworkSettings", "HostConfig"))
    labels = _part(_part(value, "Config"), "Labels")
    return {
        "Id": value.get("Id"),
        "Name": value.get("Name"),
        "State": state.get("Status"),
        "Pid": state.get("Pid"),
        "Started": state.get("StartedAt"),
        "Mode": wanted.get("NetworkMode"),
        "Bindings": wanted.get("PortBindings"),
        "Ports": settings.get("Ports"),
        "Networks": settings.get("Networks"),
        "Project": labels.get(f"{_LABEL}project"),
        "Service": labels.get(f"{_LABEL}service"),
    }


def _part(whole: dict[str, Any], key: str) -> dict[str, Any]:
    value = whole.get(key)
    return value if isinstance(value, dict) else {}


def _wanted(value: object) -> Iterator[str]:
    for port, bindings in value.items() if isinstance(value, dict) else ():
        for binding in bindings or [{}]:
            yield f"{binding.get('HostIp') or ''}:{binding.get('HostPort') or ''}:{port}"


def _bound(item: Item, value: object, wanted: dict[str, Any]) -> Iterator[PublishedPort]:
    """Yield the bound ports; one that is bound on all addresses of both versions is one.

    A binding without a port of the host is that of a network in gateway mode routed: its port is the one `wanted`.
    """
    for port, bindings in value.items() if isinstance(value, dict) else ():
        number, _, protocol = str(port).partition("/")
        try:
            known = [own.get("HostPort") for own in (*(bindings or ()), *(wanted.get(str(port)) or ()))]
            given = next(filter(None, known), number)
            pairs = [(own["HostPort"] or given, own.get("HostIp") or "0.0.0.0") for own in bindings or ()]
            made = [PublishedPort(int(host), int(number), protocol or "tcp", ip_address(at)) for host, at in pairs]
        except (ValueError, KeyError, TypeError, AttributeError, TopologyError):
            item.refuse(f"the binding of {shown(str(port))} is not understood: {shown(str(bindings))}")
        yield from _of_both_versions(made)


def _of_both_versions(found: list[PublishedPort]) -> Iterator[PublishedPort]:
    everywhere: dict[int, set[int]] = {}
    for port in found:
        if port.address is not None and port.everywhere:
            everywhere.setdefault(port.host, set()).add(port.address.version)
    for port in found:
        if port.everywhere and everywhere.get(port.host) == {4, 6}:
            yield PublishedPort(port.host, port.container, port.protocol)
        else:
            yield port


def _endpoints(item: Item, value: dict[str, Any]) -> Iterator[CapturedEndpoint]:
    for network, own in value.items():
        if isinstance(own, dict):
            pairs = (("IPAddress", "IPPrefixLen"), ("GlobalIPv6Address", "GlobalIPv6PrefixLen"))
            addresses = tuple(_interface(item, own.get(key), own.get(length)) for key, length in pairs if own.get(key))
            yield CapturedEndpoint(str(network), str(own.get("MacAddress") or ""), addresses)


def _interface(item: Item, address: object, length: object) -> AddressWithPrefix:
    try:
        return ip_interface(f"{address}/{length}")
    except ValueError:
        item.refuse(f"{shown(str(address))}/{length} is no address")
