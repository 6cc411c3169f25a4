"""A network-emulation testbed for the packet-filter rules of a Docker host."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testbed.bed import Testbed
    from testbed.docker import Container, DockerHost, Network, PublishedPort
    from testbed.errors import TestbedError
    from testbed.observe.journey import Journey
    from testbed.observe.packet_result import PacketResult
    from testbed.observe.verdict import PacketVerdict
    from testbed.rules import CounterReading, Counters, NftRuleset, Ruleset
    from testbed.rules.reference import RuleReference
    from testbed.topology import Topology
    from testbed.traffic.packet import Packet
    from testbed.traffic.tcp import LINUX, WINDOWS

# Each name is imported on first use: a pytest run that uses no bed imports neither scapy nor pyroute2.
_MODULES = {
    "LINUX": "testbed.traffic.tcp",
    "WINDOWS": "testbed.traffic.tcp",
    "Container": "testbed.docker",
    "CounterReading": "testbed.rules",
    "Counters": "testbed.rules",
    "DockerHost": "testbed.docker",
    "Journey": "testbed.observe.journey",
    "Network": "testbed.docker",
    "NftRuleset": "testbed.rules",
    "Packet": "testbed.traffic.packet",
    "PacketResult": "testbed.observe.packet_result",
    "PacketVerdict": "testbed.observe.verdict",
    "PublishedPort": "testbed.docker",
    "RuleReference": "testbed.rules.reference",
    "Ruleset": "testbed.rules",
    "Testbed": "testbed.bed",
    "TestbedError": "testbed.errors",
    "Topology": "testbed.topology",
}

__all__ = [
    "LINUX",
    "WINDOWS",
    "Container",
    "CounterReading",
    "Counters",
    "DockerHost",
    "Journey",
    "Network",
    "NftRuleset",
    "Packet",
    "PacketResult",
    "PacketVerdict",
    "PublishedPort",
    "RuleReference",
    "Ruleset",
    "Testbed",
    "TestbedError",
    "Topology",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
