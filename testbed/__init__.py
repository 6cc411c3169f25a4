"""A network-emulation testbed for the packet-filter rules of a Docker host."""

from testbed.bed import Testbed
from testbed.docker import Container, DockerHost, Network, PublishedPort
from testbed.errors import TestbedError
from testbed.observe.journey import Journey
from testbed.rules import CounterReading, Counters, NftRuleset, Ruleset
from testbed.topology import Topology
from testbed.traffic.packet import Crossing, Packet
from testbed.traffic.tcp import LINUX, WINDOWS

__all__ = [
    "LINUX",
    "WINDOWS",
    "Container",
    "CounterReading",
    "Counters",
    "Crossing",
    "DockerHost",
    "Journey",
    "Network",
    "NftRuleset",
    "Packet",
    "PublishedPort",
    "Ruleset",
    "Testbed",
    "TestbedError",
    "Topology",
]
