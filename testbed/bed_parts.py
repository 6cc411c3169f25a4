"""The topology and the rule set of a bed, from what a caller gives: a host or a topology, rules or none."""

from __future__ import annotations

from pathlib import Path

from testbed.docker import DockerHost, network
from testbed.docker.engines import DEFAULT_ENGINE, chosen_for
from testbed.errors import TestbedError
from testbed.rules import AnyRuleset, rulefile
from testbed.topology import Topology

Host = Topology | DockerHost | Path | str
Rules = AnyRuleset | Path | str


def parts(host: Host, rules: Rules | None) -> tuple[Topology, AnyRuleset]:
    """Return the topology of a host and the rules: those given, else what the default engine writes for the host.

    A path is that of a host file or a rule file. Raises TestbedError for a value that describes no host, and for a
    topology without rules.
    """
    found = described(host)
    if isinstance(found, Topology):
        if rules is None:
            raise TestbedError("a topology has no rules of its own.", "Give a rule set or the path of a rule file.")
        return found, read_rules(rules)
    engine = chosen_for(found, DEFAULT_ENGINE)
    built = engine.built(found)
    return network.topology(built), engine.rules(built) if rules is None else read_rules(rules)


def described(host: Host) -> Topology | DockerHost:
    """Return the host; a path is that of a host file or a capture. Raises TestbedError for a value that is no host."""
    if isinstance(host, Topology | DockerHost):
        return host
    if isinstance(host, Path | str):
        from testbed import described_host  # reads YAML and captures, which a bed of a topology does not need

        return described_host.read(host)
    raise TestbedError(f"{host!r} describes no host.", "Give a DockerHost, a Topology or the path of a host file.")


def read_rules(rules: Rules) -> AnyRuleset:
    """Return the rules; a path is that of a rule file. Raises TestbedError for a value that is no rule set."""
    if isinstance(rules, Path | str):
        return rulefile.read(str(rules))
    if not hasattr(rules, "as_iptables"):
        raise TestbedError(f"{rules!r} is no rule set.", "Give a rule set or the path of a rule file.")
    return rules
