"""Machines outside a host, with addresses that rules name and no node of the bed has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from testbed.docker import named_by_rules, naming
from testbed.docker.guess import Guess, GuessKind
from testbed.docker.host import DockerHost
from testbed.docker.surroundings import Machine
from testbed.docker.used_networks import NOT_OF_A_MACHINE, docker_subnets, is_special, outside_networks
from testbed.rules.ruleset import AnyRuleset
from testbed.topology import Address, Prefix

MOST = 12


def with_machines(host: DockerHost, rulesets: Sequence[AnyRuleset], translated: bool) -> tuple[DockerHost, list[Guess]]:
    """Return the host with a machine in each prefix that rules name, if no node has an address there, and what was
    added: `MOST` at most. `translated`: also for each address that rules translate to.
    """
    absent = _Absent(host)
    found: list[tuple[Address, str]] = []
    for address in named_by_rules.targets(rulesets) if translated else ():
        if len(found) < MOST and absent.address(address):
            found.append((address, str(address)))
    for prefix in named_by_rules.prefixes(rulesets):
        if len(found) < MOST and absent.prefix(prefix):
            address = prefix[0] if prefix.num_addresses <= 2 else prefix[1]
            absent.known.add(address)
            found.append((address, str(prefix)))
    names = [machine_name(address) for address, _ in found]
    uplink = host.surroundings.main.name
    machines = (
        Machine(name, naming.local_mac(name), address, uplink) for name, (address, _) in zip(names, found, strict=True)
    )
    guesses = [
        Guess(GuessKind.MACHINE, name, (str(address),), because=because)
        for name, (address, because) in zip(names, found, strict=True)
    ]
    return replace(host, surroundings=replace(host.surroundings, machines=tuple(machines))), guesses


def machine_name(address: Address) -> str:
    """Return the name of the node that stands for an address outside."""
    return f"at-{str(address).replace(':', '-')}"


class _Absent:
    """What no node of a bed has."""

    def __init__(self, host: DockerHost) -> None:
        self._six = host.ipv6
        self.known: set[Address] = {*host.own_addresses(), *host.addresses()}
        self.known |= {own.ip for own in (*host.surroundings.addresses(), *host.around.internet)}
        networks = [*outside_networks(host), *docker_subnets(host), *(own.network for own in host.around.internet)]
        self._networks = [*networks, *NOT_OF_A_MACHINE]

    def address(self, address: Address) -> bool:
        """Return whether no node has an address that a machine can have; it is known then."""
        if address in self.known or is_special(address) or (address.version == 6 and not self._six):
            return False
        self.known.add(address)
        return True

    def prefix(self, prefix: Prefix) -> bool:
        """Return whether a prefix overlaps no network of the bed, and no node has an address in it."""
        if prefix.version == 6 and not self._six:
            return False
        if any(one.version == prefix.version and one.overlaps(prefix) for one in self._networks):
            return False
        if prefix.num_addresses == 1:
            return prefix[0] not in self.known
        return not any(one.version == prefix.version and one in prefix for one in self.known)
