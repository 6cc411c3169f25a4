"""Compare a host on a real engine with the model's: its rules, and the network of a bed that is built from it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from testbed.bed import Testbed
from testbed.capture.reader import parse
from testbed.capture.twin import Twin, twin
from testbed.conformance import compare, wishes
from testbed.conformance.capture import Capture, capture
from testbed.conformance.engine import RealEngine, running
from testbed.conformance.programs import EnginePrograms
from testbed.conformance.questions import ask, questions
from testbed.conformance.realbed import real_bed
from testbed.docker import article
from testbed.docker.engines import engine as engine_of
from testbed.docker.host import DockerHost
from testbed.errors import EngineRefused, TopologyError
from testbed.rules import Ruleset

RULES, ORDER = "rules", "order"
ADDRESSES, ROUTES, PORTS, SYSCTLS = "addresses", "routes", "port flags", "sysctls"
PACKETS = "packets"
_NOT_ASKED = "nothing was asked, since the addresses differ"
ASPECTS = (RULES, ORDER, ADDRESSES, ROUTES, PORTS, SYSCTLS, PACKETS)


@dataclass(frozen=True, slots=True)
class Conformance:
    """The result of one host: for each aspect the lines that differ, `-` expected and `+` found.

    `rules` are the lines of the rule sets, with those out of order, in their order. `refused` is the engine's message
    for a host that it refused. `left_out` is the reason why the model has no such host for this engine; nothing was
    compared then. Times are in seconds: until the engine answered, and in all.
    """

    host: str
    differences: dict[str, list[str]] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)
    refused: str = ""
    left_out: str = ""
    started: float = 0.0
    total: float = 0.0

    @property
    def conforms(self) -> bool:
        return not self.refused and not any(self.differences.values())

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON output."""
        return {**asdict(self), "conforms": self.conforms}


def version_of(programs: EnginePrograms) -> str:
    """Return the engine's own version; raise EngineRefused if it does not start."""
    with running(programs) as engine:
        return engine.version


def examine(name: str, host: DockerHost, programs: EnginePrograms, version: str) -> Conformance:
    """Build a host on a real engine of this version, build it as a bed, and compare the two."""
    began = time.perf_counter()
    host = wishes.given_out(host, version)
    try:
        known = engine_of(version)
        model, host = known.rules(host), known.built(host)
    except TopologyError as error:
        return Conformance(name, left_out=error.what)
    try:
        with running(programs, wishes.daemon(host), host.ipv6) as engine:
            started = time.perf_counter() - began
            engine.run(host)
            found = _captured(engine, host, programs.backend)
            expected, answers = _modelled(host, model, programs.backend)
            differences = _differences(expected, found)
            same_network = not differences[ADDRESSES]
            answered = _answers(engine, host, programs.backend) if same_network else [_NOT_ASKED]
    except EngineRefused as error:
        return Conformance(name, refused=error.what, total=time.perf_counter() - began)
    differences[PACKETS] = compare.differing(answers if same_network else [], answered)
    rules = compare.compare(model, found.rules)
    return Conformance(name, differences, rules, started=started, total=time.perf_counter() - began)


def examine_twin(
    name: str,
    host: DockerHost,
    programs: EnginePrograms,
    version: str,
    also: Callable[[RealEngine], None] | None = None,
) -> Conformance:
    """Build a host on a real engine of this version, and compare it with the twin that is made of its capture alone.

    `also` changes the engine's host before it is captured.
    """
    began = time.perf_counter()
    host = wishes.given_out(host, version)
    try:
        known = engine_of(version)
        known.rules(host)
        host = known.built(host)
    except TopologyError as error:
        return Conformance(name, left_out=error.what)
    try:
        with running(programs, wishes.daemon(host), host.ipv6) as engine:
            started = time.perf_counter() - began
            engine.run(host)
            if also is not None:
                also(engine)
            found = _captured(engine, host, programs.backend)
            made = twin(parse(engine.captured(), f"the capture of {name}"))
            answered = _answers(engine, host, programs.backend)
            expected, answers = _of_twin(made, host, programs.backend, _peers(engine, host))
    except EngineRefused as error:
        return Conformance(name, refused=error.what, total=time.perf_counter() - began)
    differences = _differences(expected, found)
    named = compare.differing(_client_named(answers, made.host), _client_named(answered, host))
    differences[PACKETS] = named
    lines = [*differences[RULES], *differences[ORDER]]
    return Conformance(name, differences, lines, "", "", started, time.perf_counter() - began)


def _of_twin(made: Twin, host: DockerHost, backend: str, veths: Mapping[int, str]) -> tuple[Capture, list[str]]:
    """Return the state of a twin's bed, with its containers' addresses, and the results of the host's probes on it."""
    assert made.rules is not None
    topology = article.topology(made.host)
    with Testbed(topology, made.rules, backend) as bed:
        found = capture(bed.host, backend, veths, made.host.ipv6)
        answers = ask(bed, list(questions(host)))
    nodes = [topology.node(container.name) for container in host.containers]
    own = ((node.name, str(address)) for node in nodes for address in node.addresses)
    return _with(found, own), answers


def _peers(engine: RealEngine, host: DockerHost) -> dict[int, str]:
    """Return the containers' names by the index of the host's end of each of their connections."""
    return {one.peer: container.name for container in host.containers for one in engine.attached(container)}


def _client_named(lines: Iterable[str], host: DockerHost) -> list[str]:
    """Return lines with a word for the client's addresses, which a twin chooses beside its host's neighbours."""
    own = "|".join(re.escape(str(host.around.client_address(version))) for version in host.versions)
    return [re.sub(rf"(?<![\w.:])({own})(?![\w.])", "CLIENT", line) for line in lines]


def _captured(engine: RealEngine, host: DockerHost, backend: str) -> Capture:
    attached = [(container.name, one) for container in host.containers for one in engine.attached(container)]
    found = capture(engine.host, backend, {one.peer: name for name, one in attached}, host.ipv6)
    return _with(found, ((name, address) for name, one in attached for address in one.addresses))


def _answers(engine: RealEngine, host: DockerHost, backend: str) -> list[str]:
    """Return the probes' results on the engine's host; its containers have no addresses afterwards."""
    with real_bed(engine, host, backend) as bed:
        return ask(bed, list(questions(host)))


def _modelled(host: DockerHost, model: Ruleset, backend: str) -> tuple[Capture, list[str]]:
    """Return the state of a bed, with the addresses of the containers' scripted endpoints, and the probes' results."""
    topology = article.topology(host)
    indexes = topology.node(topology.host).indexes
    with Testbed(topology, model, backend) as bed:
        veths = {indexes[own.veth]: container.name for container in host.containers for own in container.attachments}
        found = capture(bed.host, backend, veths, host.ipv6)
        answers = ask(bed, list(questions(host)))
    nodes = [topology.node(container.name) for container in host.containers]
    own = ((node.name, str(address)) for node in nodes for address in node.addresses)
    return replace(_with(found, own), rules=model), answers


def _with(found: Capture, addresses: Iterable[tuple[str, str]]) -> Capture:
    """Return the state with containers' addresses; engines since 28 choose the network of eth0 at random."""
    return replace(found, addresses=(*found.addresses, *sorted(f"{name} {address}" for name, address in addresses)))


def _differences(expected: Capture, found: Capture) -> dict[str, list[str]]:
    lines = expected.rules.touched.listing, found.rules.touched.listing
    return {
        RULES: compare.of_one_side(*lines),
        ORDER: compare.out_of_order(*lines),
        ADDRESSES: compare.differing(expected.addresses, found.addresses),
        ROUTES: compare.differing(expected.routes, found.routes),
        PORTS: compare.differing(expected.ports, found.ports),
        SYSCTLS: compare.differing(expected.sysctls, found.sysctls),
    }
