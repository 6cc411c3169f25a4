"""In which order engines take the published ports of one container."""

from __future__ import annotations

from testbed.docker.host import PublishedPort

_PROTOCOLS = ("tcp", "udp", "sctp")  # by their numbers


def by_container(port: PublishedPort) -> tuple[int, int, int, int, int]:
    """Since 27: the lowest of the container comes first, then by protocol, then the lowest of the host.

    Of several addresses of the host those of IPv4 come first (moby, libnetwork/drivers/bridge/port_mapping_linux.go:
    cmpPortBinding).
    """
    address = port.address
    version, number = (address.version, int(address)) if address is not None else (0, 0)
    return port.container, _PROTOCOLS.index(port.protocol), port.host, version, number


def by_host(port: PublishedPort) -> tuple[int, int, bool]:
    """Before 27: the highest of the host comes first (docker/go-connections, nat/sort.go).

    Where the host's and the container's numbers are at odds (82:80 and 99:99), the engine's own order is one of chance:
    its comparison says of such pairs that each comes before the other.
    """
    return -port.host, -port.container, port.protocol != "tcp"
