"""Writes cases: one packet, and what becomes of it, as an expectation that a person would write down."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from textwrap import indent, wrap

from testbed.bed import Testbed
from testbed.docker import DockerHost, article
from testbed.docker.engines import ENGINES, Engine
from testbed.errors import TopologyError
from testbed.kernel.namespace import quarantine
from testbed.regress.behaviour import Behaviour
from testbed.regress.mutants import Mutant
from testbed.regress.probes import ICMP, INVALID, NEW, TCP, UDP, Probe
from testbed.rules.ruleset import Ruleset
from testbed.topology import Port

_REACHES = re.compile(r"reaches (?P<end>\S+) at (?P<to>\S+?)(?: from (?P<source>[^,]+))?(?:, (?P<answer>.*))?")
_ANSWERED = re.compile(r"answered from (?P<source>\S+)")
_ITSELF = "reaches host itself"
_REFUSED = f"{_ITSELF}, answered by RST/ACK"
_QUESTIONS = {TCP: 'packet.flags == "S"', UDP: 'packet.protocol == "udp"', ICMP: "packet.icmp in ((8, 0), (128, 0))"}
_ENUM = re.compile(r"<(\w+\.\w+): [^>]*>")
_HOST_IMPORTS = (
    "from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface",
    "from testbed.docker import DockerHost, PublishedPort",
    "from testbed.docker.host import Attachment, Container, GatewayMode, Network",
)
_PORT = 40000
_WIDTH = 100  # characters of a line of prose
_INDENT = " " * 4


@dataclass(frozen=True, slots=True)
class Setting:
    """How a case makes its bed: a host, the rules that are loaded for it, and the lines that say so.

    `fixtures` are the case's parameters, `imports` what it needs.
    """

    host: DockerHost
    rules: Ruleset
    fixtures: str
    lines: tuple[str, ...]
    imports: tuple[str, ...] = ()


def setting(host: DockerHost, rules: Ruleset, under_test: Ruleset | None) -> Setting | None:
    """The setting that has these rules on this host; None for rules that a case has changed for itself."""
    if rules == under_test and host == article.HOST:
        return Setting(host, rules, "article_bed", ())
    written, imports = _written(host)
    if rules == under_test:
        lines = (f"bed = make_bed({written}, rules=rules_under_test)",)
        return Setting(host, rules, "make_bed, rules_under_test", lines, imports)
    for engine in ENGINES:
        if engine.name in rules.source.split() and _rules_of(engine, host) == rules:
            by_engine = (f"host = {written}", f'bed = make_bed(host, rules=engine("{engine.name}").rules(host))')
            return Setting(host, rules, "make_bed", by_engine, (*imports, "from testbed.docker.engines import engine"))
    return None


def _rules_of(engine: Engine[Ruleset], host: DockerHost) -> Ruleset | None:
    try:
        return engine.rules(host)
    except TopologyError:
        return None


def _written(host: DockerHost) -> tuple[str, tuple[str, ...]]:
    """A host as an expression, and the imports that it needs."""
    for name in ("HOST", "HOST_WITHOUT_PROXY", "HOST_WITH_TWO_NETWORKS"):
        if host == getattr(article, name):
            return f"article.{name}", ("from testbed.docker import article",)
    return _ENUM.sub(r"\1", repr(host)), _HOST_IMPORTS


def cases(mutant: Mutant, before: Behaviour, now: Behaviour, made: Setting, backend: str) -> Iterator[str]:
    """Cases that should notice a mutant, the plainest first; each is whole and begins with its imports."""
    if before.probe.origin != "host":
        if before.outcome != now.outcome:
            yield from _about_the_packet(mutant, before, now, made)
    else:
        yield from _about_the_hosts_call(mutant, before, now, made)
    yield _about_counters(mutant, before.probe, made, backend)
    yield _about_the_behaviour(mutant, before, made)


def _about_the_packet(mutant: Mutant, before: Behaviour, now: Behaviour, made: Setting) -> Iterator[str]:
    """What comes out where, under which addresses; then its answer, or an error about it."""
    probe = before.probe
    reached, reaches_now = _REACHES.fullmatch(before.outcome), _REACHES.fullmatch(now.outcome)
    if reached is not None:
        to = reached["end"]
        came_out = f'assert asked.arrived.to == "{reached["to"]}"'
        lines = [*_asking(probe, to, made, "asked = "), "assert asked.arrived is not None", came_out]
        if reached["source"]:
            lines.append(f'assert asked.arrived.source == "{reached["source"]}"')
        answered = _ANSWERED.fullmatch(reached["answer"] or "")
        answer = _answering(probe, to, answered["source"]) if answered is not None else []
        yield _case(mutant, [*lines, *answer], made, _layers(probe))
        if probe.protocol != ICMP and ":" not in probe.address:
            yield _case(mutant, [*lines, *_erring(probe, to)], made, (*_layers(probe), "ICMP", "Raw"))
    elif reaches_now is not None and reaches_now["end"] != "host":
        lines = [*_asking(probe, reaches_now["end"], made, "asked = "), "assert not asked.delivered"]
        yield _case(mutant, lines, made, _layers(probe))


def _about_the_hosts_call(mutant: Mutant, before: Behaviour, now: Behaviour, made: Setting) -> Iterator[str]:
    """Whether the host's own kernel is refused by itself, or the end that it calls sees that, and for what."""
    probe = before.probe
    if probe.protocol == TCP and before.outcome == _REFUSED:
        asking = f'with bed.ask("{probe.origin}", ("{probe.address}", {probe.port})) as attempt:'
        yield _case(mutant, [asking, f'{_INDENT}assert attempt.outcome == "refused"'], made, ())
    if probe.protocol == ICMP and before.outcome.startswith(_ITSELF) and ":" not in probe.address:
        answered = "" if "answered" in before.outcome else "not "
        yield _case(mutant, [f'assert {answered}bed.ping("{probe.origin}", "{probe.address}")'], made, ())
    reached, reaches_now = _REACHES.fullmatch(before.outcome), _REACHES.fullmatch(now.outcome)
    called = reached or reaches_now
    if called is not None:
        lines = [
            f'end = bed.endpoint("{called["end"]}")',
            _speaking(probe),
            f"seen = [packet.to for packet in end.arrivals() if {_QUESTIONS[probe.protocol]}]",
            f'assert seen == ["{reached["to"]}"]' if reached is not None else "assert seen == []",
        ]
        yield _case(mutant, lines, made, ())


def _speaking(probe: Probe) -> str:
    """The line with which a node's own kernel asks."""
    return f'bed.speak("{probe.origin}", "{probe.protocol}", ("{probe.address}", {probe.port}))'


def _about_counters(mutant: Mutant, probe: Probe, made: Setting, backend: str) -> str:
    """What the rules count of the packet: tried here, to be written down."""
    by_kernel = probe.origin == "host"
    layers = () if by_kernel else _layers(probe)
    *before, sending = (_speaking(probe),) if by_kernel else _asking(probe, probe.origin, made)
    with quarantine(), Testbed(article.topology(made.host), made.rules, backend) as bed, bed.counting() as counting:
        exec("\n".join([*_imported(layers), *before, sending]), {"bed": bed})  # noqa: S102 - our own text
    expected = ["assert (", f"{_INDENT}counting.result", f'{_INDENT}== """']
    expected += [f"{_INDENT}{line}" for line in str(counting.result.moved).splitlines()]
    lines = [*before, "with bed.counting() as counting:", f"{_INDENT}{sending}", *expected, f'{_INDENT}"""', ")"]
    return _case(mutant, lines, made, layers)


def _about_the_behaviour(mutant: Mutant, before: Behaviour, made: Setting) -> str:
    """The probe itself, for what is hard to say in few words."""
    probe = before.probe
    fields = [f'"{probe.origin}"', f'"{probe.protocol}"', f'"{probe.address}"', str(probe.port)]
    fields += [f'state="{probe.state}"'] * (probe.state != NEW) + [f'source="{probe.source}"'] * bool(probe.source)
    fields += ["direct=True"] * probe.direct
    asking = f"(found,) = behaviours(bed, [Probe({', '.join(fields)})])"
    lines = [asking, f'assert found.outcome == "{before.outcome}"']
    return _case(mutant, lines, made, (), "from testbed.regress.asking import behaviours", _PROBE_IMPORT)


_PORTS_BACK = "sport=asked.arrived.destination_port, dport=asked.arrived.source_port"
_PORTS_THERE = "sport=asked.arrived.source_port, dport=asked.arrived.destination_port"
_PROBE_IMPORT = "from testbed.regress.probes import Probe"


def _asking(probe: Probe, to: str, made: Setting, crossing: str = "") -> tuple[str, str]:
    """The packet, and the line that sends it: how it came out at the end `to`."""
    via = f', via="{_via(probe, made)}"' if probe.direct else ""
    packet = f'packet = IP(src="{_source(probe, made)}", dst="{probe.address}") / {_contents(probe)}'
    return packet, f'{crossing}bed.send("{probe.origin}", packet, to="{to}"{via})'


def _source(probe: Probe, made: Setting) -> str:
    """The address that the probe comes from: of that version, on the network of its destination if there is one."""
    if probe.source:
        return probe.source
    to = ip_address(probe.address)
    own = [
        address for address in article.topology(made.host).node(probe.origin).addresses if address.version == to.version
    ]
    near = [address for address in own if to in address.network]
    return str((near or own)[0].ip)


def _contents(probe: Probe) -> str:
    if probe.protocol == ICMP:
        return f"ICMP(type=8, id={_PORT}, seq=1)"
    if probe.protocol == TCP:
        flags = "SF" if probe.state == INVALID else "S"
        return f'TCP(sport={_PORT}, dport={probe.port}, flags="{flags}", seq=1000)'
    return f"UDP(sport={_PORT}, dport={probe.port})"


def _answering(probe: Probe, end: str, source: str) -> list[str]:
    """The end answers; the answer comes back to who asked, from whom it was asked."""
    if probe.protocol == ICMP:
        contents = f"ICMP(type=0, id={_PORT}, seq=1)"
    elif probe.protocol == TCP:
        contents = (
            "TCP(sport=asked.arrived.destination_port, dport=asked.arrived.source_port, flags='SA', seq=2000, ack=1001)"
        )
    else:
        contents = f"UDP({_PORTS_BACK})"
    packet = f"IP(src=asked.arrived.destination, dst=asked.arrived.source) / {contents}".replace("'", '"')
    return [
        f"answer = {packet}",
        f'answered = bed.send("{end}", answer, to="{probe.origin}")',
        "assert answered.arrived is not None",
        f'assert answered.arrived.from_ == "{source}"',
    ]


def _erring(probe: Probe, end: str) -> list[str]:
    """The end says that nobody listens there; that comes back to who asked."""
    return [
        f"contents = {probe.protocol.upper()}({_PORTS_THERE})",
        "quoted = bytes(IP(src=asked.arrived.source, dst=asked.arrived.destination) / contents)",
        "error = IP(src=asked.arrived.destination, dst=asked.arrived.source) / ICMP(type=3, code=3) / Raw(quoted)",
        f'assert bed.send("{end}", error, to="{probe.origin}").delivered',
    ]


def _via(probe: Probe, made: Setting) -> str:
    """The host's address on the segment of the sender's first interface."""
    topology = article.topology(made.host)
    return str(topology.nearest_kernel(Port(probe.origin, topology.node(probe.origin).interfaces[0].name)))


def _layers(probe: Probe) -> tuple[str, ...]:
    return "IP", probe.protocol.upper()


def _imported(layers: tuple[str, ...]) -> list[str]:
    return [f"from testbed.traffic.layers import {', '.join(sorted(layers))}"] if layers else []


def _case(mutant: Mutant, lines: Iterable[str], made: Setting, layers: tuple[str, ...], *imports: str) -> str:
    """The whole source."""
    name = re.sub(r"\W+", "_", mutant.id)
    doc = wrap(f"Notices the mistake: {mutant.sentence}.", _WIDTH)
    body = "\n".join(
        ['"""' + "\n".join(doc) + '"""' if len(doc) == 1 else '"""' + "\n".join([*doc, '"""']), *made.lines, *lines]
    )
    if made.fixtures == "article_bed":
        body = re.sub(r"\bbed\b(?=[.,])", "article_bed", body)
    imported = "\n".join(sorted([*made.imports, *imports, *_imported(layers)]))
    case = "\n".join([f"def test_notices_{name}({made.fixtures}):", indent(body, _INDENT), ""])
    return f"{imported}\n\n\n{case}" if imported else case
