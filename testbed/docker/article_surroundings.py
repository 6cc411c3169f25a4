"""The surroundings of the article's host: what a Docker host has whose description does not say otherwise.

The article's listings give the interface and its address; the gateway and IPv6 (2001:db8::/32 is for documentation,
RFC 3849) are chosen beside them.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from testbed.docker.surroundings import Surroundings, Uplink

ENS33 = Uplink(
    "ens33",
    "00:0c:29:b6:16:6b",
    (IPv4Interface("192.168.66.100/24"), IPv6Interface("2001:db8:66::100/64")),
    (IPv4Address("192.168.66.254"), IPv6Address("2001:db8:66::fe")),
    index=2,
    altnames=("enp2s1",),
)
SURROUNDINGS = Surroundings((ENS33,))
