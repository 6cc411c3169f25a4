"""In which order engines take the published ports of one container."""

from __future__ import annotations

from testbed.docker.host import PublishedPort


def by_container(port: PublishedPort) -> tuple[int, str, int, int]:
    """Since 28: the lowest of the container comes first, then the lowest of the host."""
    return port.container, port.protocol, port.host, int(port.address or 0)


def by_host(port: PublishedPort) -> tuple[int, int, bool]:
    """Before 28: the highest of the host comes first (docker/go-connections, nat/sort.go).

    Where the host's and the container's numbers are at odds (82:80 and 99:99), the engine's own order is one of chance:
    its comparison says of such pairs that each comes before the other.
    """
    return -port.host, -port.container, port.protocol != "tcp"
