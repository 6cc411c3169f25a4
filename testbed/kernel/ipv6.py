"""Wait for the work that a kernel worker does after an IPv6 address has been added."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv6Address
from pathlib import Path
from time import monotonic

from testbed.errors import KernelRefused

_ROUTES, _GROUPS = (Path("/proc/thread-self/net", name) for name in ("ipv6_route", "igmp6"))
_LOCAL = 0x80000000  # RTF_LOCAL, include/uapi/linux/ipv6_route.h
_TIMER_RUNNING = 0x01  # MAF_TIMER_RUNNING, include/net/if_inet6.h
_DEADLINE = 10.0  # seconds; a kernel that takes longer never finishes


def wait_until_usable(addresses: Iterable[IPv6Address]) -> None:
    """Return when the kernel of the calling thread's namespace treats these addresses as local and sends no more
    reports.

    An address is local once it has a route (addrconf_dad_completed, net/ipv6/addrconf.c). Its multicast group is joined
    by then. The kernel reports a group twice. The second report comes from a timer, which is listed (igmp6_join_group,
    net/ipv6/mcast.c). Raises KernelRefused after 10 s.
    """
    wanted = {address.packed.hex() for address in addresses}
    _wait(lambda: wanted <= _with_a_route(), "has not taken its addresses")
    _wait(lambda: not _still_reporting(), "still reports its groups")


def _with_a_route() -> set[str]:
    fields = (line.split() for line in _ROUTES.read_text().splitlines())
    return {field[0] for field in fields if int(field[8], 16) & _LOCAL}


def _still_reporting() -> bool:
    return any(int(line.split()[4], 16) & _TIMER_RUNNING for line in _GROUPS.read_text().splitlines())


def _wait(done: Callable[[], bool], what: str) -> None:
    deadline = monotonic() + _DEADLINE
    while not done():
        if monotonic() > deadline:
            raise KernelRefused(f"after {_DEADLINE:.0f} s the kernel {what} of IPv6.", "Is the machine overloaded?")
