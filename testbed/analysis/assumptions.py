"""What the analysis assumes, and what of a host or a rule set is otherwise: named, as nothing is proved then."""

from __future__ import annotations

import re
from collections.abc import Iterator

from testbed.analysis.effects import Unjudged
from testbed.analysis.rules import AnalysedRule, Program
from testbed.rules.reference import RuleReference
from testbed.topology import Topology

# Sysctls with the value that the model has; another one changes which packets pass (networking/ip-sysctl.rst).
_ASSUMED = {
    "rp_filter": "0",
    "accept_local": "0",
    "accept_source_route": "0",
    "nf_conntrack_tcp_loose": "1",
    "nf_conntrack_tcp_be_liberal": "0",
    "nf_conntrack_checksum": "1",
    "bridge-nf-call-iptables": "1",
    "bridge-nf-call-ip6tables": "1",
    "bridge-nf-pass-vlan-input-dev": "0",
}
_CONFIGURED = re.compile(r"net\.ipv[46]\.conf\.(?P<device>.+)\.(?P<key>[^.]+)")
_HELPERS = re.compile(r"--helper\b|\bct helper\b")
_TRACKED = ("only one rule set tracks connections: fragments are put together on one side only",)


def of_host(topology: Topology) -> Iterator[Unjudged]:
    """Yield the sysctls of a host that the model does not follow."""
    host = topology.node(topology.host)
    if host.policy_routing:
        yield Unjudged(("routing rules, other tables than main, metrics and kinds of the host's routes",), ())
    values = dict((*host.sysctls, *host.late_sysctls))
    devices = {"all", *(device.name for device in host.devices)}
    for name, value in values.items():
        found = _CONFIGURED.fullmatch(name)
        key = found["key"] if found is not None else name.rpartition(".")[2]
        if (found is None or found["device"] in devices) and _ASSUMED.get(key, value) != value:
            yield Unjudged((f"the host's {name} = {value}",), ())


def of_rules(sides: tuple[Program, Program]) -> Iterator[Unjudged]:
    """Yield what rules ask for that the model does not follow, whether one side has it or both."""
    for program in sides:
        for text in program.unmodelled:
            yield Unjudged((text,), ())
        for chain in program.chains:
            for rule in chain.rules:
                if _HELPERS.search(rule.reference.text):
                    yield Unjudged(("connections that a helper expects",), (rule.reference,))
    if sides[0].tracks != sides[1].tracks:
        yield Unjudged(_TRACKED, _first_that_tracks(sides))


def _first_that_tracks(sides: tuple[Program, Program]) -> tuple[RuleReference, ...]:
    rules: list[AnalysedRule] = [rule for side in sides if side.tracks for chain in side.chains for rule in chain.rules]
    words = ("conntrack", "state", "CT", "ct ", "MASQUERADE", "DNAT", "SNAT", "masquerade", "dnat", "snat")
    found = (rule.reference for rule in rules if any(word in rule.reference.text for word in words))
    return tuple(reference for reference in [next(found, None)] if reference is not None)
