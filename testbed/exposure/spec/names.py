"""The names of a spec, looked up on a host: who sends, and what is reached."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from testbed.docker.host import DockerHost
from testbed.exposure.columns import ColumnKind, ExposureColumn
from testbed.exposure.rows import NUMBERS, ExposureRow, ServicePort
from testbed.exposure.spec.entries import ExposureSpec, SpecEntry, SpecError, SpecSection
from testbed.topology import Prefix

EVERYTHING = "*"
_SERVICE = re.compile(r"(?P<name>[^:\s]+)(?::(?P<port>\d{1,5}|\*)(?:/(?P<protocol>tcp|udp|sctp))?)?")
_OUTSIDE = re.compile(
    r"(?P<prefix>\[[0-9A-Fa-f:./]+\]|[0-9.]+(?:/\d+)?|internet)(?::(?P<port>\d{1,5})(?:/(?P<protocol>tcp|udp))?)?"
)
_KINDS = {
    "internet": (ColumnKind.INTERNET,),
    "lan": (ColumnKind.LAN, ColumnKind.DIRECT),
    "host": (ColumnKind.HOST,),
}


@dataclass(frozen=True, slots=True)
class Who:
    """Senders: all of some columns (`kinds` or network names), only from `sources` where these are not empty."""

    text: str
    kinds: tuple[ColumnKind, ...] = ()
    network: str = ""
    sources: tuple[Prefix, ...] = ()

    def covers(self, column: ExposureColumn) -> bool:
        """Return whether any packet of a column may be of these senders."""
        if self.text == EVERYTHING:
            return True
        if self.network:
            return column.kind is ColumnKind.NETWORK and column.name == self.network
        if self.kinds:
            return column.kind in self.kinds
        return column.kind is not ColumnKind.HOST


@dataclass(frozen=True, slots=True)
class What:
    """Services: of a node, or of all nodes of a network; with `port` None all ports."""

    text: str
    nodes: tuple[str, ...] = ()
    port: int | None = None
    protocol: str = ""

    def covers(self, row: ExposureRow) -> bool:
        if self.text == EVERYTHING:
            return True
        if row.node not in self.nodes:
            return False
        return self.port is None or (row.port, row.protocol) == (self.port, self.protocol)

    @property
    def named(self) -> bool:
        """Return whether it names one service, which has to be reachable then."""
        return self.port is not None


@dataclass(frozen=True, slots=True)
class Outside:
    """What containers may reach outside: the internet or a prefix, on one port or all."""

    text: str
    prefix: Prefix | None = None
    port: int | None = None
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class ResolvedEntry:
    """An entry with its names looked up."""

    entry: SpecEntry
    who: tuple[Who, ...]
    what: tuple[What, ...]
    outside: tuple[Outside, ...] = ()


class SpecNames:
    """Looks up the names of a spec on a host."""

    def __init__(self, host: DockerHost, node: str) -> None:
        self._host = host
        self._node = node
        self._containers = {container.name: container for container in host.containers}
        self._networks = {network.name or network.bridge: network for network in host.networks}
        self._networks |= {network.bridge: network for network in host.networks}

    def resolved(self, spec: ExposureSpec) -> tuple[ResolvedEntry, ...]:
        """Return the entries; raises SpecError, with the line, for a name that the host has not."""
        return tuple(self._entry(entry) for entry in spec.entries)

    def _entry(self, entry: SpecEntry) -> ResolvedEntry:
        who = tuple(self._who(entry, word) for word in entry.who)
        if entry.section is SpecSection.ALSO:
            return ResolvedEntry(entry, who, (), tuple(self._outside(entry, word) for word in entry.what))
        return ResolvedEntry(entry, who, tuple(self._what(entry, word) for word in entry.what))

    def _who(self, entry: SpecEntry, word: str) -> Who:
        if word == EVERYTHING:
            return Who(word)
        if word in _KINDS:
            return Who(word, _KINDS[word])
        if (network := self._network(word)) is not None:
            return Who(word, network=network)
        container = self._container(word)
        if container is not None:
            own = self._containers[container].attachments
            addresses = [address for one in own for address in (one.address, one.address6) if address is not None]
            return Who(word, (ColumnKind.NETWORK,), sources=tuple(ip_network(address) for address in addresses))
        try:
            return Who(word, sources=(ip_network(word),))
        except ValueError:
            raise self._unknown(entry, word) from None

    def _what(self, entry: SpecEntry, word: str) -> What:
        if word == EVERYTHING:
            return What(word)
        found = _SERVICE.fullmatch(word)
        if found is None:
            raise self._unknown(entry, word)
        port = None if found["port"] in (None, "*") else int(found["port"])
        if port is not None and not 0 < port < 65536:
            raise SpecError(f"{entry.place}: {port} is no port.", "Ports are numbers from 1 to 65535.")
        return What(word, self._nodes(entry, found["name"]), port, found["protocol"] or "tcp")

    def _nodes(self, entry: SpecEntry, name: str) -> tuple[str, ...]:
        if name == "host":
            return (self._node,)
        if (container := self._container(name)) is not None:
            return (container,)
        if (network := self._network(name)) is not None:
            return tuple(
                own.name
                for own in self._host.containers
                if any((one.network.name or one.network.bridge) == network for one in own.attachments)
            )
        raise self._unknown(entry, name)

    def _container(self, word: str) -> str | None:
        name = word if word in self._containers else self._host.node_called(word)
        return name if name in self._containers else None

    def _network(self, word: str) -> str | None:
        """Return the network that is called so, by its whole name or without the project's in front of it."""
        if word in self._networks:
            own = self._networks[word]
            return own.name or own.bridge
        behind = [name for name in self._networks if name.endswith(f"_{word}")]
        return behind[0] if len(behind) == 1 and word not in self._containers else None

    def _outside(self, entry: SpecEntry, word: str) -> Outside:
        found = _OUTSIDE.fullmatch(word)
        if found is None and word == EVERYTHING:
            return Outside(word)
        if found is None:
            raise SpecError(
                f"{entry.place}: {word!r} is nothing outside.",
                "Give internet, or an address or prefix, with :PORT/PROTOCOL.",
            )
        port = int(found["port"]) if found["port"] else None
        if found["prefix"] == "internet":
            return Outside(word, None, port, found["protocol"] or "tcp")
        try:
            prefix = ip_network(found["prefix"].strip("[]"))
        except ValueError as error:
            raise SpecError(f"{entry.place}: {error}.", "Give an address or a prefix.") from error
        return Outside(word, prefix, port, found["protocol"] or "tcp")

    def _unknown(self, entry: SpecEntry, word: str) -> SpecError:
        known = ", ".join([*_KINDS, *self._networks_said(), *self._containers])
        return SpecError(f"{entry.place}: there is no {word} on this host.", f"There are {known}, and addresses.")

    def _networks_said(self) -> list[str]:
        return list(dict.fromkeys(network.name or network.bridge for network in self._host.networks))


def asked_services(entries: Sequence[ResolvedEntry]) -> Iterator[ServicePort]:
    """Yield the services that a spec names, so that they have rows though nothing publishes them."""
    for resolved in entries:
        for what in resolved.what:
            if what.port is not None and what.protocol in NUMBERS:
                yield from (ServicePort(node, what.port, what.protocol) for node in what.nodes)
