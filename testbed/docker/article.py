"""The article's host, as a value: names, MACs, interface indexes, addresses, and variants of it.

The figures are those of the listings in the article; what it does not say (the client's address, the gateway's MAC,
the container's MAC) is in network.py. The rule set is what engine 20.10.24 installed for that host, 18 rules, kept
as a file beside this one so that it can be read, copied and changed.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from ipaddress import IPv4Address, IPv4Interface

from testbed.docker import network
from testbed.docker.article_surroundings import ENS33
from testbed.docker.engines import engine
from testbed.docker.host import Container, DockerHost, Network, PublishedPort
from testbed.rules import save
from testbed.rules.ruleset import Ruleset
from testbed.topology import Topology

ENS33_MAC = ENS33.mac

DOCKER0 = Network("docker0", IPv4Interface("172.17.0.1/16"), "02:42:5f:9a:dc:2c", index=3, name="bridge")
WEB = Container(
    "web",
    DOCKER0,
    IPv4Address("172.17.0.2"),
    mac="02:42:ac:11:00:02",
    veth="veth50b382d",
    veth_mac="fa:9f:74:9c:7e:80",
    published=(PublishedPort(80, 80),),
    index=18,
    veth_index=19,
)
HOST = DockerHost((DOCKER0,), (WEB,))
HOST_WITHOUT_PROXY = replace(HOST, userland_proxy=False)

SECOND_NETWORK = Network("br-eeffa41d1e8c", IPv4Interface("172.18.0.1/16"), "02:42:d3:1a:5e:01")
APP = Container(
    "app",
    SECOND_NETWORK,
    IPv4Address("172.18.0.2"),
    mac="02:42:ac:12:00:02",
    veth="veth7c11d02",
    veth_mac="3e:51:0d:9b:40:12",
    published=(PublishedPort(8082, 80),),
)
HOST_WITH_TWO_NETWORKS = DockerHost((DOCKER0, SECOND_NETWORK), (WEB, APP))

PUBLISHED = (str(HOST.around.host_address(4)), WEB.published[0].host)  # address and port that the client asks for

RULES_FILE = files(__package__).joinpath("article.rules")


def ruleset() -> Ruleset:
    """The article's 18 rules."""
    return save.parse(RULES_FILE.read_text(), source="the article's rule set")


def publishing(*ports: PublishedPort) -> DockerHost:
    """The article's host with other ports of `web` published."""
    return DockerHost((DOCKER0,), (replace(WEB, published=ports),))


def rules_of(host: DockerHost) -> Ruleset:
    """The rules that the article's engine installs for a host."""
    return engine("20.10").rules(host)


def topology(host: DockerHost = HOST) -> Topology:
    """The article's network around a host; all ends scripted, so that every packet is the script's own."""
    return network.topology(host)


def topology_with_kernels(host: DockerHost = HOST) -> Topology:
    """The same with real machines at the ends, so that ordinary programs work on them."""
    return network.topology(host, scripted=False)
