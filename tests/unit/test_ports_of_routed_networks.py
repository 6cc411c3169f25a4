"""What listens on the host for a port of a routed network: nothing, in the version of IP in which it is routed."""

from __future__ import annotations

import pytest

from testbed.companion_programs import listeners
from testbed.docker import hostfile

HOST = """
networks:
  back:
    {ipv6}
    driver_opts:
      com.docker.network.bridge.name: back
      com.docker.network.bridge.gateway_mode_ipv4: {mode4}
      com.docker.network.bridge.gateway_mode_ipv6: {mode6}
services: {{web: {{networks: [back], ports: ['8080:80']}}}}
"""
IPV6 = "{enable_ipv6: true, ipam: {config: [{subnet: '2001:db8:1::/64'}]}}"[1:-1]


@pytest.mark.parametrize(
    ("mode4", "mode6", "listening"),
    [
        ("nat", "nat", [("tcp", "0.0.0.0", 8080), ("tcp", "::", 8080)]),
        ("routed", "nat", [("tcp", "::", 8080)]),
        ("nat", "routed", [("tcp", "0.0.0.0", 8080)]),
        ("routed", "routed", []),
        ("nat-unprotected", "nat", [("tcp", "0.0.0.0", 8080), ("tcp", "::", 8080)]),
    ],
)
def test_a_routed_port_has_no_listener(mode4: str, mode6: str, listening: list[tuple[str, str, int]]) -> None:
    text = HOST.format(mode4=mode4, mode6=mode6, ipv6=IPV6.replace(", ipam", "\n    ipam"))
    host = hostfile.parse(text)
    assert list(listeners(host)) == listening
    assert bool(host.offered()) == bool(listening)


def test_of_a_host_without_ipv6_a_routed_port_is_not_offered() -> None:
    host = hostfile.parse(HOST.format(mode4="routed", mode6="nat", ipv6="internal: false"))
    assert list(listeners(host)) == []
    assert host.offered() == ()
    assert len(host.published()) == 1
