"""Writes cases: one packet, and what becomes of it, as an expectation that a person would write down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import indent

from testbed.bed import Testbed
from testbed.docker import DockerHost, article
from testbed.docker.engines import ENGINES, Engine
from testbed.docker.network import HOST_ADDRESS
from testbed.errors import TopologyError
from testbed.kernel.namespace import quarantine
from testbed.regress.behaviour import Behaviour
from testbed.regress.mutants import Mutant
from testbed.regress.probes import ICMP, INVALID, TCP, Probe
from testbed.rules.ruleset import Ruleset

_REACHES = re.compile(r"reaches (?P<end>\S+) at (?P<to>\S+?)(?: from (?P<source>[^,]+))?(?:, (?P<answer>.*))?")
_ANSWERED = re.compile(r"answered from (?P<source>\S+)")
_ENUM = re.compile(r"<(\w+\.\w+): [^>]*>")
_HOST_IMPORTS = (
    "from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface",
    "from testbed.docker import DockerHost, PublishedPort",
    "from testbed.docker.host import Attachment, Container, GatewayMode, Network",
)
_PORT = 40000
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


def setting(host: DockerHost, rules: Ruleset, under_test: Ruleset) -> Setting | None:
    """The setting that has these rules on this host; None for rules that a case has changed for itself."""
    if rules == under_test and host == article.HOST:
        return Setting(host, rules, "article_bed", ("bed = article_bed",))
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
        yield _about_counters(mutant, before.probe, made, backend)
    yield _about_the_behaviour(mutant, before, made)


def _about_the_packet(mutant: Mutant, before: Behaviour, now: Behaviour, made: Setting) -> Iterator[str]:
    """What comes out where, under which addresses; and the answer, where it is that which differs."""
    probe = before.probe
    reached, reaches_now = _REACHES.fullmatch(before.outcome), _REACHES.fullmatch(now.outcome)
    if reached is not None:
        to = reached["end"]
        lines = [
            *_asking(probe, to),
            "assert asked.arrived is not None",
            f'assert asked.arrived.to == "{reached["to"]}"',
        ]
        if reached["source"]:
            lines.append(f'assert asked.arrived.source == "{reached["source"]}"')
        answered = _ANSWERED.fullmatch(reached["answer"] or "")
        if answered is not None:
            lines += _answering(probe, to, answered["source"])
        yield _case(mutant, lines, made, _layers(probe))
    elif reaches_now is not None and reaches_now["end"] != "host":
        yield _case(mutant, [*_asking(probe, reaches_now["end"]), "assert not asked.delivered"], made, _layers(probe))


def _about_counters(mutant: Mutant, probe: Probe, made: Setting, backend: str) -> str:
    """What the rules count of the packet: tried here, to be written down."""
    asking = _asking(probe, probe.origin)
    with quarantine(), Testbed(article.topology(made.host), made.rules, backend) as bed, bed.counting() as counting:
        names: dict[str, object] = {"bed": bed}
        exec("\n".join([_imports(_layers(probe)), *asking]), names)  # noqa: S102 - our own text
    counted = indent(str(counting.result.moved), _INDENT)
    expected = ["assert (", f"{_INDENT}counting.result", f'{_INDENT}== """', indent(counted, _INDENT)]
    sent = [line.removeprefix("asked = ") for line in asking]
    lines = [
        "with bed.counting() as counting:",
        *(f"{_INDENT}{line}" for line in sent),
        *expected,
        f'{_INDENT}"""',
        ")",
    ]
    return _case(mutant, lines, made, _layers(probe))


def _about_the_behaviour(mutant: Mutant, before: Behaviour, made: Setting) -> str:
    """The probe itself, for what is hard to say in few words."""
    lines = [f"(found,) = behaviours(bed, [{before.probe!r}])", f'assert found.outcome == "{before.outcome}"']
    return _case(mutant, lines, made, (), "from testbed.regress.asking import behaviours", _PROBE_IMPORT)


_PORTS_BACK = "sport=asked.arrived.destination_port, dport=asked.arrived.source_port"
_PROBE_IMPORT = "from testbed.regress.probes import Probe"


def _asking(probe: Probe, to: str) -> list[str]:
    """Sends the probe; `asked` is how it came out at the end `to`."""
    via = f', via="{_via(probe)}"' if probe.direct else ""
    packet = f'IP(src={_source(probe)}, dst="{probe.address}") / {_contents(probe)}'
    return [f'asked = bed.send("{probe.origin}", {packet}, to="{to}"{via})']


def _source(probe: Probe) -> str:
    return f'"{probe.source}"' if probe.source else f'bed.endpoint("{probe.origin}").address_towards("{probe.address}")'


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
    packet = f"IP(src=asked.arrived.destination, dst=asked.arrived.source) / {contents}"
    return [
        f"answer = {packet}".replace("'", '"'),
        f'answered = bed.send("{end}", answer, to="{probe.origin}")',
        "assert answered.arrived is not None",
        f'assert answered.arrived.from_ == "{source}"',
    ]


def _via(probe: Probe) -> str:
    return str(HOST_ADDRESS.ip) if probe.origin == "client" else ""


def _layers(probe: Probe) -> tuple[str, ...]:
    return "IP", probe.protocol.upper()


def _imports(layers: tuple[str, ...]) -> str:
    return f"from testbed.traffic.layers import {', '.join(sorted(layers))}"


def _case(mutant: Mutant, lines: list[str], made: Setting, layers: tuple[str, ...], *imports: str) -> str:
    """The whole source."""
    name = re.sub(r"\W+", "_", mutant.id)
    body = [f'"""Notices the mistake: {mutant.sentence}."""', *made.lines, *lines]
    head = sorted([*made.imports, *imports, *([_imports(layers)] if layers else [])])
    return "\n".join(
        [*head, "", "", f"def test_notices_{name}({made.fixtures}):", indent("\n".join(body), _INDENT), ""]
    )
