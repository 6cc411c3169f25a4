"""The state that a real engine starts from: a host with an interface, in the network of a bed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager

from testbed.docker.article_surroundings import SURROUNDINGS
from testbed.docker.beside import interfaces
from testbed.docker.lan import around
from testbed.docker.network import around_bare_host
from testbed.docker.routes import host_routes
from testbed.docker.sysctls import HOST_SYSCTLS, QUIET_IPV6
from testbed.kernel import devices
from testbed.kernel.namespace import Namespace
from testbed.topology import Node, Topology

_SET_BY_THE_ENGINE = ("net.ipv4.ip_forward", "net.ipv4.conf.all.accept_redirects")


def _before(key: str) -> bool:
    """Return whether a sysctl has its value before an engine starts; turning on ip_forward changes the others."""
    return key not in _SET_BY_THE_ENGINE and not key.endswith(".forwarding")


_SYSCTLS = (("net.ipv4.ip_forward", "0"), *((key, value) for key, value in HOST_SYSCTLS if _before(key)))


def _topology(six: bool) -> Topology:
    outside = around(SURROUNDINGS, six)
    uplinks = tuple(interfaces(SURROUNDINGS, outside, six))
    sysctls = (*(QUIET_IPV6 if six else ()), *_SYSCTLS)
    host = Node("host", uplinks, routes=host_routes(SURROUNDINGS, outside, six), sysctls=sysctls)
    return around_bare_host(host, SURROUNDINGS, six)


@contextmanager
def bare_host(six: bool = False) -> Iterator[Mapping[str, Namespace]]:
    """Provide the namespaces of a bed whose host has only its uplink and a default route; `six`: of IPv6 too.

    Raise what `devices.build` raises.
    """
    topology = _topology(six)
    with ExitStack() as opened:
        made = {node.name: opened.enter_context(closing(Namespace.create(node.name))) for node in topology.nodes}
        devices.build(topology, made)
        yield made
