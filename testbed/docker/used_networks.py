"""Which addresses and networks a host uses, and which it leaves free, for what rules add to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network

from testbed.docker.host import LOOPBACK, LOOPBACK6, DockerHost
from testbed.topology import Address, Prefix

_POOLS = [IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15")]
NOT_OF_A_MACHINE: list[Prefix] = [
    *(IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4")),
    *(IPv6Network(text) for text in ("::/96", "::ffff:0:0/96", "2002::/16", "fe80::/10", "ff00::/8")),  # mapped, 6to4
]


def is_special(address: Address) -> bool:
    """Return whether no machine can have an address: loopback, multicast and the like."""
    return any(address.version == one.version and address in one for one in NOT_OF_A_MACHINE)


def outside_networks(host: DockerHost) -> list[Prefix]:
    """Return the networks outside, in which no container has an address."""
    lans = [own.network for lan in host.around.lans for own in lan.uplink.addresses if own.network.num_addresses > 1]
    return [LOOPBACK, LOOPBACK6, *lans, *(network for _, network in host.surroundings.networks())]


def docker_subnets(host: DockerHost) -> list[Prefix]:
    """Return the subnets of the host's Docker networks."""
    return [own for network in host.networks for own in (network.subnet, network.subnet6) if own is not None]


def free_subnets(used: Iterable[Prefix]) -> Iterator[IPv4Network]:
    """Yield private subnets of 256 addresses that overlap none of these."""
    taken = [own for own in used if isinstance(own, IPv4Network)]
    for pool in _POOLS:
        if any(pool.subnet_of(one) for one in taken):
            continue
        yield from (own for own in pool.subnets(new_prefix=24) if not any(own.overlaps(one) for one in taken))
