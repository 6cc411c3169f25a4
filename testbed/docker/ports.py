"""Published ports as they are written for `docker run -p` and in compose files, in the short and in the long form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from testbed.docker.host import PublishedPort
from testbed.docker.problems import Problems
from testbed.docker.tree import Tree
from testbed.errors import TopologyError

_Address = IPv4Address | IPv6Address | None
_PORTS = re.compile(
    r"(?:(?:(?P<address>|[\d.]+|\[[\da-fA-F:.]+\]|[\da-fA-F:]*:[\da-fA-F:]*):)?"
    r"(?P<host>\d*)(?:-(?P<host_end>\d+))?:)?"
    r"(?P<container>\d+)(?:-(?P<container_end>\d+))?(?:/(?P<protocol>[A-Za-z]+))?"
)
_LONG = ("target", "published", "host_ip", "protocol", "mode", "app_protocol", "name")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class PortRequest:
    """A port of a container that is to be published on the first free one of `hosts`; none: one that is free."""

    container: int
    hosts: range
    protocol: str
    address: _Address

    def on(self, port: int) -> PublishedPort:
        """Return the published port."""
        return PublishedPort(port, self.container, self.protocol, self.address)


def requested(tree: Tree) -> tuple[PortRequest, ...]:
    """Return what an entry of `ports` asks for; TopologyError, with the line, for what is none."""
    if isinstance(tree.value, dict):
        return _long(tree)
    with tree.blamed():
        return _short(tree.word)


def exposed(tree: Tree, problems: Problems) -> Iterator[tuple[int, str]]:
    """Yield the ports that `expose` names, with their protocols; what is none is reported."""
    for item in tree.items:
        with problems.collected(), item.blamed():
            ports, _, protocol = item.word.strip().partition("/")
            for port in _spoken(ports):
                yield port, protocol.lower() or "tcp"


def _short(text: str) -> tuple[PortRequest, ...]:
    found = _PORTS.fullmatch(text.strip())
    if not found:
        raise TopologyError(
            f"{text!r} is no published port.", "Write [ADDRESS:]HOST:CONTAINER[/PROTOCOL], for instance 8080:80/tcp."
        )
    container = _range(found["container"], found["container_end"])
    host = _range(found["host"], found["host_end"]) if found["host"] else range(0)
    return tuple(_paired(text, container, host, (found["protocol"] or "tcp").lower(), _address(text, found["address"])))


def _long(tree: Tree) -> tuple[PortRequest, ...]:
    for key, entry in tree.mapping:
        if key not in _LONG and not key.startswith("x-"):
            raise entry.error(f"the key {key} is not known here.", f"Known are {', '.join(_LONG)}.")
    if tree.child("target").is_absent:
        raise tree.error("a published port needs a `target`.", "Write the container's port as `target`.")
    mode = tree.text("mode", "ingress")
    if mode not in ("host", "ingress", ""):
        raise tree.child("mode").error(f"the mode {mode} is not known.", "It is host or ingress.")
    with tree.blamed():
        container, host = _spoken(tree.text("target")), _spoken(tree.text("published"))
        address = _address(tree.text("host_ip"), tree.text("host_ip") or None)
        said = f"{tree.text('published')}:{tree.text('target')}"
        return tuple(_paired(said, container, host, tree.text("protocol", "tcp").lower() or "tcp", address))


def _spoken(text: str) -> range:
    if not text or text == "0":
        return range(0)
    found = _RANGE.fullmatch(text)
    if not found:
        raise TopologyError(f"{text!r} is no port.", "Ports are 1 to 65535, or a range like 8000-8010.")
    return _range(*found.groups())


def _paired(text: str, container: range, host: range, protocol: str, address: _Address) -> Iterator[PortRequest]:
    """Each port of the container with its own of the host, or one with all of them to choose from."""
    if not container:
        raise TopologyError(f"{text!r} names no port of the container.", f"Ports are 1 to {_LAST_PORT}.")
    for port in (*container[:1], *container[-1:], *host[:1], *host[-1:]):
        PublishedPort(port, port, protocol)
    if host and len(container) == 1:
        yield PortRequest(container[0], host, protocol, address)
        return
    if host and len(host) != len(container):
        raise TopologyError(f"{text!r} publishes {len(container)} ports on {len(host)}.", "Give ranges of one length.")
    for number, port in enumerate(container):
        yield PortRequest(port, host[number : number + 1], protocol, address)


def _range(first: str, last: str | None) -> range:
    """Return the ports from the first to the last; none for 0, which leaves the choice to the engine."""
    start, end = (int(text[:6]) for text in (first, last or first))
    if max(start, end) > _LAST_PORT:
        raise TopologyError(f"{max(start, end)} is no port; ports are 1 to {_LAST_PORT}.")
    if start == 0 == end:
        return range(0)
    if end < start:
        raise TopologyError(f"{first}-{last} is a range that ends before it begins.", "Turn it round.")
    return range(start, end + 1)


def _address(text: str, written: str | None) -> _Address:
    if not written:
        return None
    try:
        return ip_address(written.strip("[]"))
    except ValueError as error:
        raise TopologyError(f"{text!r}: {written} is no address.") from error
