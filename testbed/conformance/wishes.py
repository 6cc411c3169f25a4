"""A Docker host as an engine's configuration: the options of the daemon, and requests to its API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from testbed.conformance import image
from testbed.docker.host import Attachment, Container, DockerHost, GatewayMode, Network, PublishedPort
from testbed.topology import MTU, AddressWithPrefix

DEFAULT_BRIDGE = "docker0"
_DEFAULT_NETWORK = "bridge"  # the engine's name for the network of docker0
_ADDRESSES_IN_TURN_SINCE = 28
_OF_ANY_DRIVER = "com.docker.network."
_OPTION = f"{_OF_ANY_DRIVER}bridge."


def daemon(host: DockerHost) -> list[str]:
    """Return the options of dockerd for a host: its proxy, and those of docker0, which no request can change later."""
    options = [] if host.userland_proxy else ["--userland-proxy=false"]
    if not host.iptables:
        options.append("--iptables=false")
    if host.ip6tables is not None:
        options += ["--experimental", f"--ip6tables={str(host.ip6tables).lower()}"]
    docker0 = next((network for network in host.networks if network.bridge == DEFAULT_BRIDGE), None)
    if docker0 is None:
        return [*options, "--bridge=none"]
    options += [f"--bip={docker0.gateway}"]
    options += [] if docker0.gateway6 is None else ["--ipv6", f"--fixed-cidr-v6={docker0.subnet6}"]
    options += [] if docker0.icc else ["--icc=false"]
    options += [] if docker0.masquerade else ["--ip-masq=false"]
    return options


def given_out(host: DockerHost, version: str) -> DockerHost:
    """Return the host with the IPv6 addresses that an engine assigns on docker0, where none can be requested.

    Since 28 they are the next free ones; before, they are derived from the container's MAC (20.10.24, 26.1.5).
    """
    if int(version.split(".")[0]) >= _ADDRESSES_IN_TURN_SINCE:
        return host
    return replace(host, containers=tuple(_with_address_of_mac(container) for container in host.containers))


def _with_address_of_mac(container: Container) -> Container:
    subnet = container.network.subnet6
    if container.network.bridge != DEFAULT_BRIDGE or subnet is None:
        return container
    return replace(container, address6=subnet[int(container.mac.replace(":", ""), 16)])


def network(wanted: Network) -> dict[str, Any]:
    """Return the request for a network."""
    options = {"name": wanted.bridge}
    if not wanted.icc:
        options["enable_icc"] = "false"
    if not wanted.masquerade:
        options["enable_ip_masquerade"] = "false"
    if wanted.mode is not GatewayMode.NAT:
        options["gateway_mode_ipv4"] = wanted.mode.value
    if wanted.mode6 is not GatewayMode.NAT:
        options["gateway_mode_ipv6"] = wanted.mode6.value
    if wanted.trusted:
        options["trusted_host_interfaces"] = ":".join(wanted.trusted)
    if not wanted.addressed:
        options["inhibit_ipv4"] = "true"
    others = {
        "driver.mtu": "" if wanted.mtu == MTU else wanted.mtu,
        "host_ipv4": wanted.snat,
        "host_ipv6": wanted.snat6,
    }
    pools = (wanted.gateway,) if wanted.gateway6 is None else (wanted.gateway, wanted.gateway6)
    return {
        "Name": called(wanted),
        "Driver": "bridge",
        "Internal": wanted.internal,
        "EnableIPv6": wanted.gateway6 is not None,
        "IPAM": {"Config": [_pool(gateway) for gateway in pools]},
        "Options": {
            **{f"{_OPTION}{key}": value for key, value in options.items()},
            **{f"{_OF_ANY_DRIVER}{key}": str(value) for key, value in others.items() if value},
        },
    }


def _pool(gateway: AddressWithPrefix) -> dict[str, str]:
    """Return a subnet, with the gateway unless it is the subnet's own address, which means no gateway."""
    subnet = gateway.network
    asked = {"Gateway": str(gateway.ip)} if gateway.ip != subnet.network_address else {}
    return {"Subnet": str(subnet), **asked}


def called(wanted: Network) -> str:
    """Return a network's name; its bridge's name if it has none of its own."""
    return _DEFAULT_NETWORK if wanted.bridge == DEFAULT_BRIDGE else wanted.name or wanted.bridge


def container(wanted: Container) -> dict[str, Any]:
    """Return the request for a container, on its first network."""
    first, *_ = wanted.attachments
    name = called(first.network)
    return {
        "Image": f"{image.NAME}:{image.TAG}",
        "Cmd": list(image.COMMAND),
        "ExposedPorts": {_inside(port): {} for port in wanted.published},
        "HostConfig": {"NetworkMode": name, "PortBindings": _bindings(wanted.published)},
        "NetworkingConfig": {"EndpointsConfig": {name: _endpoint(first)}},
    }


def connection(wanted: Container, to: Attachment) -> dict[str, Any]:
    """Return the request that connects a container to one more network."""
    return {"Container": wanted.name, "EndpointConfig": _endpoint(to)}


def _endpoint(own: Attachment) -> dict[str, Any]:
    """Return the requested addresses; on docker0 the engine chooses them."""
    if own.network.bridge == DEFAULT_BRIDGE:
        return {}
    addresses = {"IPv4Address": str(own.address)}
    if own.address6 is not None:
        addresses["IPv6Address"] = str(own.address6)
    return {"IPAMConfig": addresses}


def _inside(port: PublishedPort) -> str:
    return f"{port.container}/{port.protocol}"


def _bindings(published: tuple[PublishedPort, ...]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in published:
        address = "" if port.address is None else str(port.address)
        bindings.setdefault(_inside(port), []).append({"HostIp": address, "HostPort": str(port.host)})
    return bindings
