"""The twin of a captured host: a Docker host for a bed, its rules, and notes on what is not as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.capture import ruleset
from testbed.capture.devices import Devices
from testbed.capture.notes import NoteKind, TwinNote, approximated, counted, exact, listed, missing
from testbed.capture.routing import TwinRouting, sysctls
from testbed.capture.values import HostCapture
from testbed.capture.workloads import Workloads
from testbed.docker.engines import engine
from testbed.docker.host import DockerHost
from testbed.docker.surroundings import Surroundings
from testbed.errors import CaptureError, TestbedError
from testbed.rules import AnyRuleset
from testbed.topology import Listener

MOST_CONTAINERS = 1000  # each is a network namespace of the bed
_PROXIES = ("docker-proxy", "rootlessport")
_PROXIED = re.compile(r"^(\[[0-9:]+\] )?-A OUTPUT (?P<not>! -d (127\.0\.0\.0/8|::1/128) )?.*-j DOCKER$", re.MULTILINE)
_FAILED = ("failed", "absent, no program ss", "absent, no program nft", "absent, no program bridge")


@dataclass(frozen=True, slots=True)
class Twin:
    """A Docker host as a capture has it; `engine` is the version of Docker that was captured, empty for none."""

    capture: HostCapture
    host: DockerHost
    rules: AnyRuleset | None
    backend: str
    notes: tuple[TwinNote, ...]
    engine: str = ""

    def of_kind(self, kind: NoteKind) -> list[TwinNote]:
        return [note for note in self.notes if note.kind is kind]

    @property
    def open(self) -> list[TwinNote]:
        """Return the notes on what may make an answer another one than the real host's."""
        return [note for note in self.notes if note.matters]


def twin(capture: HostCapture) -> Twin:
    """Return the twin of a capture.

    Raises CaptureError for a host without an interface that leads out, and for more containers than a bed takes.
    Raises TopologyError for one that cannot be built, RulesError for rules that cannot be read.
    """
    running = sum(1 for _ in capture.running())
    if running > MOST_CONTAINERS:
        raise CaptureError(
            f"{capture.source} has {running:,} running containers, and a bed takes {MOST_CONTAINERS:,}.",
            "Take a capture while fewer of them run, or cut the sections docker-containers and inside-...",
        )
    workloads = Workloads(capture)
    devices = Devices(capture, workloads.bridges())
    if not devices.uplinks:
        raise CaptureError(
            f"{capture.source} has no interface that is up, has an address and leads out.",
            "Is it the capture of a host, and not of a container? A twin needs an interface to a network.",
        )
    parents = {port: uplink.name for uplink in devices.uplinks for port in uplink.ports}
    workloads.build(frozenset(uplink.name for uplink in devices.uplinks), parents)
    routing = TwinRouting(capture, devices)
    found = ruleset.of_capture(capture)
    host = _host(capture, workloads, devices, routing, found.rules)
    version = next((own.version for own in capture.engines if own.program == "docker"), "")
    version = re.split(r"[^\d.]", version)[0]
    host = _as_built(host, version)
    notes = [*_exact(capture, host, workloads, found.rules), *devices.notes, *routing.notes, *workloads.notes]
    notes += [*found.notes, *_of_capture(capture)]
    if version:
        notes += ruleset.foreign_lines(host, found.rules, version)
    order = [*NoteKind]
    notes.sort(key=lambda note: order.index(note.kind))
    return Twin(capture, host, found.rules, found.backend, tuple(notes), version)


def _host(
    capture: HostCapture, workloads: Workloads, devices: Devices, routing: TwinRouting, rules: AnyRuleset | None
) -> DockerHost:
    six = devices.ipv6() or any(own.gateway6 for own in workloads.networks.values())
    surroundings = Surroundings(
        tuple(devices.uplinks),
        tuple(routing.routes),
        tuple(routing.rules),
        tuple(routing.neighbours),
        tuple(devices.tunnels),
        tuple(devices.bridges),
        tuple(_listeners(capture)),
        tuple(workloads.stations),
        sysctls(capture, sorted(devices.names()), six),
        six or None,
        routes_complete=any(not route.destination.prefixlen for route in capture.routes),
    )
    texts = {own.program: own.text for own in capture.rules}
    of_docker = any(":DOCKER " in text for program, text in texts.items() if program.startswith("iptables"))
    of_docker6 = any(":DOCKER " in text for program, text in texts.items() if program.startswith("ip6tables"))
    forwards = dict(capture.sysctls).get("net.ipv4.ip_forward", "1") == "1"
    return DockerHost(
        tuple(workloads.networks.values()),
        tuple(workloads.containers),
        userland_proxy=_has_proxy(capture, workloads.bridges(), texts),
        ip6tables=True if of_docker6 else None,
        iptables=of_docker or rules is None or rules.as_iptables is None or not capture.engines,
        forwarding=forwards,
        forward_drop=_drops(rules),
        nftables=True if any(own.firewall == "nftables" for own in capture.engines) else None,
        names=tuple(workloads.names),
        surroundings=surroundings,
    )


def _as_built(host: DockerHost, version: str) -> DockerHost:
    """Return the host as its engine builds internal networks, where the version is known."""
    try:
        return engine(version).built(host) if version else host
    except TestbedError:
        return host


def _has_proxy(capture: HostCapture, bridges: frozenset[str], texts: dict[str, str]) -> bool:
    """Return whether the engine runs userland proxies: by their sockets, its bridges' ports, its rule in OUTPUT."""
    if any({*own.programs} & {*_PROXIES} for own in capture.listeners):
        return True
    ports = [link for link in capture.links if link.kind == "veth" and link.master in bridges]
    if ports:
        return not any(port.hairpin for port in ports)
    found = [own for text in texts.values() for own in _PROXIED.finditer(text)]
    return not found or any(own["not"] for own in found)


def _drops(rules: AnyRuleset | None) -> bool:
    """Return whether the policy of FORWARD is DROP; so it is taken to be where no rules say."""
    iptables = rules.as_iptables if rules is not None else None
    tables = iptables.tables if iptables is not None else ()
    chains = [chain for table in tables if table.name == "filter" for chain in table.chains]
    return next((chain.policy == "DROP" for chain in chains if chain.name == "FORWARD"), True)


def _listeners(capture: HostCapture) -> Iterator[Listener]:
    """Yield the host's own listeners: not those of proxies, which the bed runs itself, nor those of one device."""
    own = (socket for socket in capture.listeners if not {*socket.programs} & {*_PROXIES})
    made = (Listener(socket.protocol, socket.port, socket.address) for socket in own if not socket.device)
    both = list(dict.fromkeys(made))
    everywhere = {(one.protocol, one.port) for one in both if one.address is None}
    for one in both:
        covered = (one.protocol, one.port) in everywhere and one.address is not None and one.address.is_unspecified
        if not covered:
            yield one


def _exact(
    capture: HostCapture, host: DockerHost, workloads: Workloads, rules: AnyRuleset | None
) -> Iterator[TwinNote]:
    outside = host.surroundings
    names = [device.name for device in outside.devices]
    yield exact(f"Interfaces with names, addresses and MTU: {listed(names)}.")
    if host.networks:
        yield exact(f"{workloads.said()}: names, bridges, addresses, MACs, bound ports.")
    elif capture.containers or capture.networks:
        yield exact("No bridge network.")
    for station in outside.stations:
        yield exact(f"{station.name} on the segment of {station.uplink} ({station.driver}).")
    shared = [name for name, node in host.names if node == "host"]
    if shared:
        yield exact(f"On the host's own network: {listed(shared)}.")
    alone = [container.name for container in capture.running() if container.mode == "none"]
    if alone:
        yield exact(f"Without a network, and so not in the bed: {listed(alone)}.")
    if rules is not None:
        yield exact(f"{counted(rules.number_of_rules, 'rule')} in the syntax of {rules.syntax.name}.")
    parts = ((outside.routes, "route"), (outside.routing_rules, "routing rule"), (outside.listeners, "listener"))
    more = [counted(len(values), noun) for values, noun in parts if values]
    more += [counted(len(outside.sysctls), "sysctl")] if outside.sysctls else []
    if more:
        yield exact(f"{', '.join(more)}.")


def _of_capture(capture: HostCapture) -> Iterator[TwinNote]:
    """Yield notes on what was not read where the capture was taken, or changed meanwhile."""
    failed = [name for name, why in capture.unread if why.startswith(_FAILED)]
    for name in failed:
        why = dict(capture.unread)[name]
        yield missing(
            f"The section {name} of the capture has nothing: {why}.", matters=name not in ("docker", "podman")
        )
    if capture.changed:
        yield approximated(f"These sections changed while the capture was taken: {listed([*capture.changed])}.")
    if capture.tc:
        yield missing(
            f"tc has filters, {counted(len(capture.tc), 'line')}: what they drop, change or mark is not in the bed."
        )
    if capture.ipvs:
        yield missing("IPVS has services: they are not in the bed.")
    if not any(own.program.startswith("iptables") or own.program == "nft" for own in capture.rules):
        yield missing("The capture has no rules.")
    if not capture.routes:
        yield approximated("The capture has no routes: the default one is by a router that is chosen here.")
    for own in capture.engines:
        if own.swarm:
            yield missing("The engine is part of a Swarm: its ingress network is not in the bed.")
        if own.rootless:
            yield missing("The engine is rootless: its containers are behind a network of its own, not this host's.")
