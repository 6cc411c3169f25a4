"""Names and hardware addresses that an engine would make up: always the same ones for the same host."""

from __future__ import annotations

from hashlib import sha256
from ipaddress import IPv4Address, IPv6Network


def mac(address: IPv4Address) -> str:
    """02:42 and the four bytes of the address, as engines before 28 make them (moby, libnetwork/netutils)."""
    return ":".join(f"{byte:02x}" for byte in (0x02, 0x42, *address.packed))


def bridge(network: str) -> str:
    """`br-` and twelve digits of the network's id."""
    return f"br-{_digits(network)[:12]}"


def veth(container: str) -> str:
    """`veth` and seven digits."""
    return f"veth{_digits(container)[:7]}"


def tap(guest: str) -> str:
    """`vnet` and seven digits."""
    return f"vnet{_digits(guest)[:7]}"


def veth_mac(container: str) -> str:
    """A locally administered address."""
    return local_mac(f"mac of {container}")


def local_mac(of: str) -> str:
    """A locally administered address that follows from a text."""
    digits = _digits(of)
    return ":".join(["3e", *(digits[number : number + 2] for number in range(0, 10, 2))])


def subnet6(network: str) -> IPv6Network:
    """A unique local subnet (RFC 4193)."""
    digits = _digits(f"subnet of {network}")
    return IPv6Network(f"fd{digits[:2]}:{digits[2:6]}:{digits[6:10]}::/64")


def _digits(of: str) -> str:
    return sha256(of.encode()).hexdigest()
