"""What a real engine finds on its host before it has done anything: an interface, an address, a way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from testbed.docker import article
from testbed.docker.network import (
    EVERYWHERE,
    EVERYWHERE6,
    GATEWAY_ADDRESS,
    GATEWAY_ADDRESS6,
    HOST_ADDRESS,
    HOST_ADDRESS6,
    HOST_SYSCTLS,
    QUIET_IPV6,
)
from testbed.kernel import devices
from testbed.kernel.namespace import Namespace
from testbed.topology import Interface, Link, Node, Port, Route, Topology

_GATEWAY_MAC = "00:50:56:e0:00:fe"
_SET_BY_THE_ENGINE = ("net.ipv4.ip_forward", "net.ipv4.conf.all.accept_redirects")


def _before(key: str) -> bool:
    """Whether a sysctl has its value before an engine starts; turning on ip_forward changes the others."""
    return key not in _SET_BY_THE_ENGINE and not key.endswith(".forwarding")


_SYSCTLS = (("net.ipv4.ip_forward", "0"), *((key, value) for key, value in HOST_SYSCTLS if _before(key)))


def _topology(six: bool) -> Topology:
    host, gateway = ((HOST_ADDRESS, HOST_ADDRESS6), (GATEWAY_ADDRESS, GATEWAY_ADDRESS6))
    routes = (Route(EVERYWHERE, GATEWAY_ADDRESS.ip), Route(EVERYWHERE6, GATEWAY_ADDRESS6.ip))
    versions = 2 if six else 1
    return Topology(
        nodes=(
            Node("gateway", (Interface("eth0", _GATEWAY_MAC, gateway[:versions]),), sysctls=QUIET_IPV6 if six else ()),
            Node(
                "host",
                (Interface("ens33", article.ENS33_MAC, host[:versions]),),
                routes=routes[:versions],
                sysctls=(*(QUIET_IPV6 if six else ()), *_SYSCTLS),
            ),
        ),
        links=(Link(Port("host", "ens33"), Port("gateway", "eth0")),),
    )


@contextmanager
def bare_host(six: bool = False) -> Iterator[Namespace]:
    """The namespace of a host with ens33 and a default route, and nothing else; `six`: of IPv6 too.

    Raises what `devices.build` raises.
    """
    topology = _topology(six)
    with ExitStack() as opened:
        made = {node.name: opened.enter_context(closing(Namespace.create(node.name))) for node in topology.nodes}
        devices.build(topology, made)
        yield made[topology.host]
