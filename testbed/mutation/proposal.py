"""Propose cases against a mutant: a packet and the expected result, as values, from two behaviours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from testbed.bed import Testbed
from testbed.behaviour.behaviour import Behaviour
from testbed.behaviour.case import (
    ANSWERED,
    BEHAVES,
    COUNTED,
    DELIVERED,
    NOT_ANSWERED,
    NOT_DELIVERED,
    REFUSED,
    PacketCase,
    counted,
)
from testbed.behaviour.probes import ICMP, TCP, Probe
from testbed.docker import DockerHost, article
from testbed.docker.engines import ENGINES, Engine
from testbed.errors import TopologyError
from testbed.kernel.namespace import quarantine
from testbed.rules.ruleset import Ruleset
from testbed.topology import Port
from testbed.traffic.packet import place

_REACHES = re.compile(r"reaches (?P<end>\S+) at (?P<to>\S+?)(?: from (?P<source>[^,]+))?(?:, (?P<answer>.*))?")
_ANSWERED = re.compile(r"answered from (?P<source>\S+)")
_ITSELF = "reaches host itself"
_REFUSED = f"{_ITSELF}, answered by RST/ACK"


@dataclass(frozen=True, slots=True)
class Setting:
    """The bed of a case: a host, and the rules that are loaded for it.

    `engine` writes these rules for the host. If it is empty, they are the rules under test.
    """

    host: DockerHost
    rules: Ruleset
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A case in its setting."""

    setting: Setting
    case: PacketCase


def setting(host: DockerHost, rules: Ruleset, under_test: Ruleset | None) -> Setting | None:
    """Return the setting that has these rules on this host; None for rules that a case modified."""
    if rules == under_test:
        return Setting(host, rules)
    for engine in ENGINES:
        if engine.name == rules.origin.engine and _rules_of(engine, host) == rules:
            return Setting(host, rules, engine.name)
    return None


def _rules_of(engine: Engine[Ruleset], host: DockerHost) -> Ruleset | None:
    try:
        return engine.rules(host)
    except TopologyError:
        return None


def cases(before: Behaviour, now: Behaviour, made: Setting, backend: str) -> Iterator[PacketCase]:
    """Yield cases that should detect the change from one behaviour to the other, the simplest first."""
    probe = before.probe
    packet = PacketCase(
        probe.origin,
        probe.protocol,
        probe.address,
        probe.port,
        BEHAVES,
        outcome=before.outcome,
        source=probe.source,
        via=_via(probe, made) if probe.direct else "",
        state=probe.state,
    )
    asked = replace(packet, outcome="")
    if probe.origin == "host":
        yield from _of_the_hosts_call(asked, before, now)
    elif before.outcome != now.outcome:
        yield from _of_the_packet(asked, before, now)
    if not (probe.origin == "host" and _echo6(probe)):
        yield _of_counters(asked, made, backend)
    yield packet


def _of_the_packet(asked: PacketCase, before: Behaviour, now: Behaviour) -> Iterator[PacketCase]:
    """Yield cases on the delivered packet and its addresses; then on its answer, or on an error about it."""
    reached, reaches_now = _REACHES.fullmatch(before.outcome), _REACHES.fullmatch(now.outcome)
    if reached is not None:
        arrives = _arriving(asked, reached)
        answered = _ANSWERED.fullmatch(reached["answer"] or "")
        yield replace(arrives, answer=answered["source"] if answered is not None else "")
        if asked.protocol != ICMP and ":" not in asked.address:
            yield replace(arrives, error=True)
    elif reaches_now is not None and reaches_now["end"] != "host":
        yield replace(asked, expected=NOT_DELIVERED, at=reaches_now["end"])


def _of_the_hosts_call(asked: PacketCase, before: Behaviour, now: Behaviour) -> Iterator[PacketCase]:
    """Yield cases on the host's own kernel: its refusal or answer, or the packet that arrives at another endpoint."""
    if asked.protocol == TCP and before.outcome == _REFUSED:
        yield replace(asked, expected=REFUSED)
    if asked.protocol == ICMP and before.outcome.startswith(_ITSELF) and not _echo6(before.probe):
        yield replace(asked, expected=ANSWERED if "answered by" in before.outcome else NOT_ANSWERED)
    reached, reaches_now = _REACHES.fullmatch(before.outcome), _REACHES.fullmatch(now.outcome)
    if reached is not None:
        yield replace(_arriving(asked, reached), snat="")
    elif reaches_now is not None:
        yield replace(asked, expected=NOT_DELIVERED, at=reaches_now["end"])


def _arriving(asked: PacketCase, reached: re.Match[str]) -> PacketCase:
    """Return the case that expects the packet where it was delivered, translated as it was."""
    translated = reached["to"] != place(asked.address, asked.port)
    return replace(
        asked,
        expected=DELIVERED,
        at=reached["end"],
        dnat=reached["to"] if translated else "",
        snat=reached["source"] or "",
    )


def _of_counters(asked: PacketCase, made: Setting, backend: str) -> PacketCase:
    """Return the case on the counters of the packet, counted here."""
    with quarantine(), Testbed(article.topology(made.host), made.rules, backend) as bed:
        return replace(asked, expected=COUNTED, counters=counted(bed, asked))


def _echo6(probe: Probe) -> bool:
    return probe.protocol == ICMP and ":" in probe.address


def _via(probe: Probe, made: Setting) -> str:
    """Return the host's address on the segment of the sender's first interface."""
    topology = article.topology(made.host)
    return str(topology.nearest_kernel(Port(probe.origin, topology.node(probe.origin).interfaces[0].name)))
