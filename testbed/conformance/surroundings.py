"""What a real engine finds on its host before it has done anything: an interface, an address, a way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from testbed.docker import article
from testbed.docker.network import EVERYWHERE, GATEWAY_ADDRESS, HOST_ADDRESS, HOST_SYSCTLS
from testbed.kernel import devices
from testbed.kernel.namespace import Namespace
from testbed.topology import Interface, Link, Node, Port, Route, Topology

_GATEWAY_MAC = "00:50:56:e0:00:fe"
_SET_BY_THE_ENGINE = ("net.ipv4.ip_forward", "net.ipv4.conf.all.accept_redirects")


def _before(key: str) -> bool:
    """Whether a sysctl has its value before an engine starts; turning on ip_forward changes the others."""
    return key not in _SET_BY_THE_ENGINE and not key.endswith(".forwarding")


_SYSCTLS = (("net.ipv4.ip_forward", "0"), *((key, value) for key, value in HOST_SYSCTLS if _before(key)))
TOPOLOGY = Topology(
    nodes=(
        Node("gateway", (Interface("eth0", _GATEWAY_MAC, (GATEWAY_ADDRESS,)),)),
        Node(
            "host",
            (Interface("ens33", article.ENS33_MAC, (HOST_ADDRESS,)),),
            routes=(Route(EVERYWHERE, GATEWAY_ADDRESS.ip),),
            sysctls=_SYSCTLS,
        ),
    ),
    links=(Link(Port("host", "ens33"), Port("gateway", "eth0")),),
)


@contextmanager
def bare_host() -> Iterator[Namespace]:
    """The namespace of a host with ens33 and a default route, and nothing else; raises what `devices.build` raises."""
    with ExitStack() as opened:
        made = {node.name: opened.enter_context(closing(Namespace.create(node.name))) for node in TOPOLOGY.nodes}
        devices.build(TOPOLOGY, made)
        yield made[TOPOLOGY.host]
