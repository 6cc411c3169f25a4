"""Ports that rules publish: the addresses and ports whose packets DNAT or REDIRECT rules translate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_interface

from testbed.rules.clauses import Clause, clauses, target_of
from testbed.rules.ruleset import AnyRuleset, Rule, Ruleset

_TARGETS = ("DNAT", "REDIRECT")
_PORTS = ("--dport", "--dports")
_NATIVE_TABLE = re.compile(r"^table (?:(?P<family>ip|ip6|inet) )?\S+ \{")
_NATIVE_CHAIN = re.compile(r"^\s*chain (?P<name>\S+) \{|hook (?P<hook>\w+)")
_NATIVE_RULE = re.compile(
    r"(?P<protocol>tcp|udp) dport (?P<negated>!= )?\{? ?(?P<port>\d+).*?\b(?P<verb>dnat|redirect)\b(?P<rest>.*)"
)
_NATIVE_ADDRESS = re.compile(r"\bip6? daddr (?:\{ )?(?P<address>[0-9a-fA-F.:]+)(?=[ ,])")


@dataclass(frozen=True, slots=True)
class Published:
    """A port that rules translate; `address` is its address, empty for any address of the host in that `version`."""

    port: int
    protocol: str
    version: int
    address: str = ""

    @property
    def on_loopback(self) -> bool:
        return self.address.startswith("127.") or self.address == "::1"


def published(ruleset: AnyRuleset) -> list[Published]:
    """Return each port that a DNAT or REDIRECT rule translates for incoming packets, in the rules' order."""
    iptables = ruleset.as_iptables
    found = _native(ruleset.text) if iptables is None else _of_iptables(iptables)
    return [one for one in dict.fromkeys(found) if not one.on_loopback]


def _of_iptables(ruleset: Ruleset) -> Iterator[Published]:
    for table in ruleset.tables:
        if table.name.endswith("nat"):
            for chain in table.chains:
                for rule in table.rules_of(chain.name) if chain.name != "OUTPUT" else ():
                    yield from _of_rule(rule, 6 if table.of_ipv6 else 4)


def _of_rule(rule: Rule, version: int) -> Iterator[Published]:
    target = target_of(rule.spec)
    if target is None or target.name not in _TARGETS:
        return
    asked = [clause for clause in clauses(rule.spec) if not clause.negated and clause.values]
    protocol = next((clause.values[0] for clause in asked if clause.option == "-p"), "")
    port = next((_first_port(clause) for clause in asked if clause.option in _PORTS), None)
    if protocol in ("tcp", "udp") and port is not None:
        yield Published(port, protocol, version, next((_address(c) for c in asked if c.option == "-d"), ""))


def _first_port(clause: Clause) -> int | None:
    number = re.match(r"\d+", clause.values[0])
    return int(number[0]) if number else None


def _address(clause: Clause) -> str:
    """Return the only address that a clause means, or an empty string."""
    try:
        found = ip_interface(clause.values[0])
    except ValueError:
        return ""
    return str(found.ip) if found.network.num_addresses == 1 else ""


def _native(text: str) -> Iterator[Published]:
    family, on_output = "", False
    for line in text.splitlines():
        if table := _NATIVE_TABLE.match(line):
            family = table["family"] or "ip"
        elif chain := _NATIVE_CHAIN.search(line):
            on_output = chain["hook"] == "output"
        found = _NATIVE_RULE.search(line)
        if found and not found["negated"] and not on_output:
            address = _NATIVE_ADDRESS.search(line)
            of_six = family == "ip6" or ("ip6" in line.split() and family == "inet")
            version = 6 if of_six else 4
            yield Published(int(found["port"]), found["protocol"], version, address["address"] if address else "")
