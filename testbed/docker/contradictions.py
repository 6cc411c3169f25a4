"""Where a Docker host and rules that were given for it say different things about its published ports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from testbed.docker.host import Container, DockerHost, PublishedPort
from testbed.rules.clauses import clauses, target_of
from testbed.rules.ruleset import AnyRuleset, Ruleset

_NATIVE = re.compile(r"\b(?P<protocol>tcp|udp|sctp) dport (?P<port>\d+)\b.*\bdnat (?:ip6? )?to (?P<to>\S+)")
_TO = re.compile(r"--to-destination (\S+)")
_ADDRESS = re.compile(r"\[(?P<six>[^\]]+)\](?::\d+)?|(?P<four>[\d.]+)(?::\d+)?|(?P<bare>[0-9A-Fa-f:]+)")

_Address = IPv4Address | IPv6Address
_Dnat = tuple[str, range, _Address, int]  # protocol, ports of the host, address that they lead to, line of the rule


def contradictions(host: DockerHost, ruleset: AnyRuleset) -> list[str]:
    """Return a sentence for each published port that the rules translate to an address its container does not have."""
    iptables = ruleset.as_iptables
    found = [*(_native(ruleset.text) if iptables is None else _of_iptables(iptables))]
    owners = {address: name for name, address in _addresses(host)}
    said = [_said(container, port, found, owners) for container, port in host.published()]
    return [sentence for sentence in said if sentence]


def _said(container: Container, port: PublishedPort, found: list[_Dnat], owners: dict[_Address, str]) -> str:
    """The sentence about a port; empty where a rule leads to its container, or none leads anywhere."""
    leading = [(to, line) for protocol, ports, to, line in found if protocol == port.protocol and port.host in ports]
    if not leading or any(owners.get(to) == container.name for to, _ in leading):
        return ""
    to, line = leading[0]
    whose = f"of {owners[to]}" if to in owners else "which no container of the host has"
    return (
        f"The host publishes port {port.host}/{port.protocol} for {container.name}, but line {line} of the rules leads"
        f" it to {to}, {'an address ' if to in owners else ''}{whose}."
    )


def _addresses(host: DockerHost) -> Iterator[tuple[str, _Address]]:
    for container in host.containers:
        for own in container.attachments:
            yield container.name, own.address
            if own.address6 is not None:
                yield container.name, own.address6


def _of_iptables(ruleset: Ruleset) -> Iterator[_Dnat]:
    for _, rule in ruleset.rules:
        target = target_of(rule.spec)
        if target is None or target.name != "DNAT":
            continue
        wanted = {clause.option: clause.values for clause in clauses(rule.spec) if not clause.negated}
        to = _TO.search(target.text)
        if to is not None and wanted.get("-p") and wanted.get("--dport") and (address := _address(to[1])) is not None:
            first, _, last = wanted["--dport"][0].partition(":")
            if first.isdigit() and (last or first).isdigit():
                yield wanted["-p"][0], range(int(first), int(last or first) + 1), address, rule.line


def _native(text: str) -> Iterator[_Dnat]:
    for number, line in enumerate(text.split("\n"), start=1):
        found = _NATIVE.search(line)
        if found is not None and (address := _address(found["to"])) is not None:
            port = int(found["port"])
            yield found["protocol"], range(port, port + 1), address, number


def _address(text: str) -> _Address | None:
    found = _ADDRESS.fullmatch(text)
    try:
        return ip_address(found["six"] or found["four"] or found["bare"]) if found is not None else None
    except ValueError:
        return None
