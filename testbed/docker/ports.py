"""Published ports as they are written for `docker run -p` and in compose files."""

from __future__ import annotations

import re
from ipaddress import ip_address

from testbed.docker.host import PublishedPort
from testbed.errors import TopologyError

_PORTS = re.compile(
    r"(?:(?P<address>[\d.]+|\[[\da-fA-F:.]+\]):)?(?P<host>\d+)(?:-(?P<host_end>\d+))?"
    r":(?P<container>\d+)(?:-(?P<container_end>\d+))?(?:/(?P<protocol>[a-z]+))?"
)


def published_ports(text: str) -> tuple[PublishedPort, ...]:
    """The ports of `[ADDRESS:]HOST[-END]:CONTAINER[-END][/PROTOCOL]`; TopologyError for anything else."""
    found = _PORTS.fullmatch(text)
    if not found:
        raise TopologyError(
            f"{text!r} is no published port.", "Write [ADDRESS:]HOST:CONTAINER[/PROTOCOL], for instance 8080:80/tcp."
        )
    host, container = (_range(found[name], found[f"{name}_end"]) for name in ("host", "container"))
    if len(host) != len(container):
        raise TopologyError(f"{text!r} publishes {len(container)} ports on {len(host)}.", "Give ranges of one length.")
    try:
        address = ip_address(found["address"].strip("[]")) if found["address"] else None
    except ValueError as error:
        raise TopologyError(f"{text!r}: {found['address']} is no address.") from error
    protocol = found["protocol"] or "tcp"
    return tuple(PublishedPort(a, b, protocol, address) for a, b in zip(host, container, strict=True))


def _range(first: str, last: str | None) -> range:
    return range(int(first), int(last or first) + 1)
