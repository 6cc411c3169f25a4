"""Two captures of a host: the rules of both on one host that has the containers of both, and what else changed.

Networks and containers are the same if they have the same name. Where an engine gave them another bridge or address,
the old rules get the new one, so that a network that was made again is no difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from testbed.capture.notes import counted, listed
from testbed.capture.twin import Twin
from testbed.docker import naming
from testbed.docker.host import Attachment, Container, DockerHost, Network
from testbed.errors import CaptureError
from testbed.rules import AnyRuleset, rulefile
from testbed.topology import Route, RoutingRule

_WORDS = "(?<![\\w.:-])({})(?![\\w-]|\\.\\w)"
_SEARCHED = 1024  # addresses of a subnet that are looked at for a free one
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class HostChange:
    """A part of the host that is not as it was; `judged`: packets of the comparison are sent with it."""

    text: str
    judged: bool


@dataclass(frozen=True, slots=True)
class ComparedCaptures:
    """The host with the containers of both captures, the rules before and now, and the changes of the host."""

    host: DockerHost
    old: AnyRuleset
    new: AnyRuleset
    changes: tuple[HostChange, ...]

    @property
    def open(self) -> tuple[str, ...]:
        """Return the changes that no packet judges."""
        return tuple(change.text for change in self.changes if not change.judged)


def compared(before: Twin, now: Twin) -> ComparedCaptures:
    """Return the two captures of a host side by side; raises CaptureError for one without rules."""
    for made in (before, now):
        if made.rules is None:
            raise CaptureError(f"{made.capture.source} has no rules.", "Take a capture that has them.")
    assert before.rules is not None
    assert now.rules is not None
    names = _Renamed(before.host, now.host)
    old = names.rules(before.rules) if names.words else before.rules
    return ComparedCaptures(names.host, old, now.rules, tuple(_changes(before, now)))


class _Renamed:
    """The words of old rules that mean the same as others in new ones, and the host that has all of both."""

    def __init__(self, before: DockerHost, now: DockerHost) -> None:
        self.words: dict[str, str] = {}
        self._now = now
        self._networks = {network.name or network.bridge: network for network in now.networks}
        self._taken = set(now.addresses()) | {*now.own_addresses()}
        self._added: list[Container] = []
        self._made: list[Network] = []
        for network in before.networks:
            self._network(network)
        containers = {container.name: container for container in now.containers}
        for container in before.containers:
            self._container(container, containers.get(container.name))
        self.host = replace(now, networks=(*now.networks, *self._made), containers=(*now.containers, *self._added))

    def rules(self, ruleset: AnyRuleset) -> AnyRuleset:
        """Return a rule set with the new words."""
        ordered = sorted(map(re.escape, self.words), key=len, reverse=True)
        pattern = re.compile(_WORDS.format("|".join(ordered)))
        text = pattern.sub(lambda found: self.words[found[1]], ruleset.text)
        return rulefile.parse(text, ruleset.source)

    def _network(self, network: Network) -> None:
        there = self._networks.get(network.name or network.bridge)
        if there is None:
            if any(network.subnet.overlaps(own.subnet) for own in self._networks.values()):
                return
            kept = replace(network, index=None)
            self._networks[network.name or network.bridge] = kept
            self._made.append(kept)
            return
        pairs = [(network.bridge, there.bridge), (network.gateway.ip, there.gateway.ip), (network.subnet, there.subnet)]
        if network.gateway6 is not None and there.gateway6 is not None:
            pairs += [(network.gateway6.ip, there.gateway6.ip), (network.subnet6, there.subnet6)]
        self._note(pairs)

    def _container(self, container: Container, there: Container | None) -> None:
        """Note the new addresses of a container, or add one that is there no more."""
        present = {own.network.name or own.network.bridge: own for own in there.attachments} if there else {}
        left: list[Attachment] = []
        for own in container.attachments:
            name = own.network.name or own.network.bridge
            if name in present:
                self._note([(own.address, present[name].address), (own.address6, present[name].address6)])
            elif name in self._networks and there is None:
                left.append(self._moved(own, self._networks[name], container.name))
        if left:
            first, *others = left
            names = {known.name for known in (*self._now.containers, *self._added)}
            name = container.name if container.name not in names else f"{container.name}-before"
            self._added.append(
                Container(
                    name,
                    first.network,
                    first.address,
                    first.mac,
                    first.veth,
                    first.veth_mac,
                    address6=first.address6,
                    also=tuple(others),
                )
            )

    def _moved(self, own: Attachment, network: Network, name: str) -> Attachment:
        """Return a connection at an address that nothing has now."""
        address, six = own.address, own.address6
        if address in self._taken or address not in network.subnet:
            address = self._free(network)
        self._taken.add(address)
        six = six if six is not None and network.subnet6 and six in network.subnet6 and six not in self._taken else None
        self._note([(own.address, address)])
        end = f"{name} on {network.name} before"
        mac = naming.mac(address)
        return Attachment(network, address, mac, naming.veth(end), naming.veth_mac(end), address6=six)

    def _free(self, network: Network) -> IPv4Address:
        size = min(network.subnet.num_addresses - 1, _SEARCHED)
        found = next(
            (network.subnet[at] for at in range(size - 1, 0, -1) if network.subnet[at] not in self._taken), None
        )
        if found is None:
            raise CaptureError(f"the subnet {network.subnet} has no free address.", "Compare the rules alone.")
        return found

    def _note(self, pairs: Iterable[tuple[object, object]]) -> None:
        for old, new in pairs:
            if old is not None and new is not None and str(old) != str(new):
                self.words[str(old)] = str(new)


def _changes(before: Twin, now: Twin) -> Iterator[HostChange]:
    old, new = before.host, now.host
    yield from _of_names("container", {one.name for one in old.containers}, {one.name for one in new.containers}, True)
    before_names, now_names = ({network.name or network.bridge for network in host.networks} for host in (old, new))
    yield from _of_names("network", before_names, now_names, True)
    for name, values in _parts(old, new):
        gone, added = [[one for one in side if one not in other] for side, other in (values, values[::-1])]
        if gone or added:
            was, is_now = listed(gone, _SHOWN) or "none", listed(added, _SHOWN) or "none"
            yield HostChange(f"{name} changed: {was} before, {is_now} now.", judged=False)
    if before.engine != now.engine:
        yield HostChange(f"Docker was {before.engine or 'not there'}, and is {now.engine or 'not there'} now.", True)


def _of_names(what: str, old: set[str], new: set[str], judged: bool) -> Iterator[HostChange]:
    if gone := sorted(old - new):
        yield HostChange(f"{counted(len(gone), what)} gone: {listed(gone)}.", judged)
    if added := sorted(new - old):
        yield HostChange(f"{counted(len(added), what)} new: {listed(added)}.", judged)


def _parts(old: DockerHost, new: DockerHost) -> Iterator[tuple[str, tuple[list[str], list[str]]]]:
    """Yield parts of the host besides Docker as lines, before and now."""
    parts: tuple[tuple[str, Callable[[DockerHost], list[str]]], ...] = (
        ("Addresses", lambda host: [f"{own.name} {one}" for own in host.surroundings.devices for one in own.addresses]),
        ("Routes", lambda host: [_route(one) for one in host.surroundings.routes]),
        (
            "Routing rules",
            lambda host: [f"{one.priority} table {one.table}" for one in host.surroundings.routing_rules],
        ),
        ("Listeners", lambda host: [str(one) for one in host.surroundings.listeners]),
        ("Sysctls", _sysctls),
        ("Networks' options", lambda host: [_options(network) for network in host.networks]),
    )
    for name, lines in parts:
        yield name, (lines(old), lines(new))


def _route(route: Route) -> str:
    by = route.via if route.via is not None else route.device
    return f"{route.destination} by {by} (table {route.table}, {route.kind.value})"


def _rule(rule: RoutingRule) -> str:
    matched = [part for part in (rule.source, rule.destination, rule.mark, rule.entered) if part]
    return f"{rule.priority} {' '.join(map(str, matched))} {rule.action.value} {rule.table}"


def _sysctls(host: DockerHost) -> list[str]:
    bridges = {network.bridge for network in host.networks}
    return [
        f"{key} = {value}"
        for key, value in host.surroundings.sysctls
        if not any(f".{bridge}." in key for bridge in bridges)
    ]


def _options(network: Network) -> str:
    words = [word for word, set_ in (("internal", network.internal), ("no icc", not network.icc)) if set_]
    words += [] if network.masquerade else ["no masquerade"]
    return f"{network.name or network.bridge}: {', '.join((network.mode.value, *words))}"
