"""What can be told of a packet by a clause: a test for each option of iptables and each word of nftables.

What depends on more than the packet (time, chance, a limit, a set's elements, a payload) has none here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address, ip_network

from testbed.rules.facts import Facts

Test = Callable[[Sequence[str], Facts], bool | None]
_NUMBERS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "132": "sctp", "ipv6-icmp": "icmpv6"}
_FLAGS = {"FIN": "F", "SYN": "S", "RST": "R", "PSH": "P", "ACK": "A", "URG": "U"}
_ALL_FLAGS = "FSRPAU"
_WITH_PORTS = ("tcp", "udp", "sctp", "dccp", "udplite")
_ICMP_NAMES: dict[str, tuple[int, int | None]] = {
    "echo-reply": (0, None),
    "pong": (0, None),
    "destination-unreachable": (3, None),
    "network-unreachable": (3, 0),
    "host-unreachable": (3, 1),
    "protocol-unreachable": (3, 2),
    "port-unreachable": (3, 3),
    "fragmentation-needed": (3, 4),
    "source-quench": (4, None),
    "redirect": (5, None),
    "echo-request": (8, None),
    "ping": (8, None),
    "time-exceeded": (11, None),
    "ttl-exceeded": (11, None),
    "parameter-problem": (12, None),
}
_ICMP6_NAMES: dict[str, tuple[int, int | None]] = {
    "destination-unreachable": (1, None),
    "packet-too-big": (2, None),
    "time-exceeded": (3, None),
    "parameter-problem": (4, None),
    "echo-request": (128, None),
    "echo-reply": (129, None),
    "router-solicitation": (133, None),
    "nd-router-solicit": (133, None),
    "router-advertisement": (134, None),
    "nd-router-advert": (134, None),
    "neighbour-solicitation": (135, None),
    "neighbor-solicitation": (135, None),
    "nd-neighbor-solicit": (135, None),
    "neighbour-advertisement": (136, None),
    "neighbor-advertisement": (136, None),
    "nd-neighbor-advert": (136, None),
}


def _address(values: Sequence[str], address: str) -> bool | None:
    parsed = ip_address(address)
    return any(parsed in ip_network(value, strict=False) for value in values)


def _interface(values: Sequence[str], name: str) -> bool | None:
    """A name that ends in `+` (`*` in nftables) stands for all that begin so."""
    return any(name.startswith(v[:-1]) if v.endswith(("+", "*")) and v != "*" else name == v for v in values)


def _protocol(values: Sequence[str], facts: Facts) -> bool | None:
    own = _NUMBERS.get(facts.protocol, facts.protocol)
    return any(value in ("all", "0", "ip") or _NUMBERS.get(value, value) == own for value in values)


def _among(values: Iterable[str], number: int | None, separator: str = ":") -> bool | None:
    """Numbers and ranges; an open range reaches to the end."""
    if number is None:
        return None
    for value in values:
        for part in value.split(","):
            low, _, high = part.partition(separator)
            if not (low or "0").isdigit() or not (high or "0").isdigit():
                return None
            last = int(high) if high else 65535 if separator in part else int(low or 0)
            if int(low or 0) <= number <= last:
                return True
    return False


def _port(which: str, separator: str = ":") -> Test:
    def test(values: Sequence[str], facts: Facts) -> bool | None:
        if facts.fragment or facts.protocol not in _WITH_PORTS:
            return False  # no ports there (tcp_mt, net/netfilter/xt_tcpudp.c)
        ports = {"source": [facts.source_port], "destination": [facts.destination_port]}.get(
            which, [facts.source_port, facts.destination_port]
        )
        found = [_among(values, port, separator) for port in ports]
        return True if True in found else None if None in found else False

    return test


def _nft_port(which: str, protocol: str) -> Test:
    def test(values: Sequence[str], facts: Facts) -> bool | None:
        if protocol != "th" and facts.protocol != protocol:
            return False
        return _port(which, "-")(values, facts)

    return test


def _tcp_flags(values: Sequence[str], facts: Facts) -> bool | None:
    if facts.protocol != "tcp" or facts.fragment:
        return False
    if facts.tcp_flags is None or len(values) != 2:
        return None
    mask, wanted = (_letters(value) for value in values)
    return {flag for flag in facts.tcp_flags if flag in mask} == set(wanted)


def _letters(flags: str) -> str:
    if flags in ("ALL", "NONE"):
        return _ALL_FLAGS if flags == "ALL" else ""
    return "".join(_FLAGS[flag] for flag in flags.split(",") if flag in _FLAGS)


def _syn(_: Sequence[str], facts: Facts) -> bool | None:
    return _tcp_flags(("FIN,SYN,RST,ACK", "SYN"), facts)


def _state(values: Sequence[str], facts: Facts) -> bool | None:
    wanted = {state.upper() for value in values for state in value.split(",")}
    virtual = wanted & {"DNAT", "SNAT"}
    if facts.state is not None and facts.state in wanted:
        return True
    if virtual and facts.status is not None and virtual & facts.status:
        return True
    return None if facts.state is None or (virtual and facts.status is None) else False


def _status(values: Sequence[str], facts: Facts) -> bool | None:
    wanted = {status.upper() for value in values for status in value.split(",")}
    if facts.status is None or not wanted <= {"DNAT", "SNAT"}:
        return None
    return bool(wanted & facts.status)


def _original(position: int) -> Test:
    def test(values: Sequence[str], facts: Facts) -> bool | None:
        if facts.original is None:
            return None
        own = facts.original[position]
        return _among(values, own) if isinstance(own, int) else _address(values, own)

    return test


def _direction(values: Sequence[str], facts: Facts) -> bool | None:
    return None if facts.direction is None else values[0].upper() == facts.direction


def _address_type(which: str) -> Test:
    def test(values: Sequence[str], facts: Facts) -> bool | None:
        if facts.local_types is None:
            return None
        wanted = {kind.upper() for value in values for kind in value.split(",")}
        return facts.local_types(getattr(facts, which)) in wanted

    return test


def _icmp(protocol: str) -> Test:
    names = _ICMP_NAMES if protocol == "icmp" else _ICMP6_NAMES

    def test(values: Sequence[str], facts: Facts) -> bool | None:
        if facts.protocol != protocol or facts.fragment:
            return False
        found = [_is_of_type(value, facts.icmp, names) for value in values]
        return True if True in found else None if None in found else False

    return test


def _is_of_type(value: str, own: tuple[int, int] | None, names: dict[str, tuple[int, int | None]]) -> bool | None:
    if value == "any" or own is None:
        return True if value == "any" else None
    kind, _, code = value.partition("/")
    wanted = names.get(value) or ((int(kind), int(code) if code else None) if kind.isdigit() else None)
    return None if wanted is None else wanted[0] == own[0] and wanted[1] in (None, own[1])


def _mark(values: Sequence[str], facts: Facts) -> bool | None:
    if facts.mark is None:
        return None
    value, _, mask = values[0].partition("/")
    return facts.mark & int(mask or "0xffffffff", 0) == int(value, 0)


def _range(which: str) -> Test:
    def test(values: Sequence[str], facts: Facts) -> bool | None:
        low, _, high = values[0].partition("-")
        own = ip_address(getattr(facts, which))
        return int(ip_address(low)) <= int(own) <= int(ip_address(high or low))

    return test


def _nft_addresses(which: str, version: int) -> Test:
    def test(values: Sequence[str], facts: Facts) -> bool | None:
        own = ip_address(getattr(facts, which))
        if own.version != version:
            return False
        if any("-" in value for value in values):
            return any(_range(which)((value,), facts) for value in values)
        return _address(values, str(own))

    return test


def _of(attribute: str) -> Test:
    return lambda values, facts: _address(values, getattr(facts, attribute))


def _through(attribute: str) -> Test:
    return lambda values, facts: _interface(values, getattr(facts, attribute))


def _number(attribute: str, how: Callable[[int, int], bool] | None = None) -> Test:
    def test(values: Sequence[str], facts: Facts) -> bool | None:
        own = getattr(facts, attribute)
        if own is None or how is None:
            return _among(values, own)
        return how(own, int(values[0]))

    return test


TESTS: dict[tuple[str, str], Test] = {
    ("", "-s"): _of("source"),
    ("", "-d"): _of("destination"),
    ("", "-i"): _through("entered"),
    ("", "-o"): _through("left"),
    ("", "-p"): _protocol,
    ("", "-f"): lambda _, facts: facts.fragment,
    ("*", "--dport"): _port("destination"),
    ("*", "--sport"): _port("source"),
    ("multiport", "--dports"): _port("destination"),
    ("multiport", "--sports"): _port("source"),
    ("multiport", "--ports"): _port("either"),
    ("tcp", "--tcp-flags"): _tcp_flags,
    ("tcp", "--syn"): _syn,
    ("conntrack", "--ctstate"): _state,
    ("state", "--state"): _state,
    ("conntrack", "--ctstatus"): _status,
    ("conntrack", "--ctorigsrc"): _original(0),
    ("conntrack", "--ctorigsrcport"): _original(1),
    ("conntrack", "--ctorigdst"): _original(2),
    ("conntrack", "--ctorigdstport"): _original(3),
    ("conntrack", "--ctdir"): _direction,
    ("conntrack", "--ctproto"): _protocol,
    ("addrtype", "--dst-type"): _address_type("destination"),
    ("addrtype", "--src-type"): _address_type("source"),
    ("*", "--icmp-type"): _icmp("icmp"),
    ("*", "--icmpv6-type"): _icmp("icmpv6"),
    ("mark", "--mark"): _mark,
    ("ttl", "--ttl-eq"): _number("ttl"),
    ("ttl", "--ttl-lt"): _number("ttl", lambda own, limit: own < limit),
    ("ttl", "--ttl-gt"): _number("ttl", lambda own, limit: own > limit),
    ("length", "--length"): _number("length"),
    ("iprange", "--src-range"): _range("source"),
    ("iprange", "--dst-range"): _range("destination"),
    ("nft", "iifname"): _through("entered"),
    ("nft", "oifname"): _through("left"),
    ("nft", "iif"): _through("entered"),
    ("nft", "oif"): _through("left"),
    ("nft", "ip saddr"): _nft_addresses("source", 4),
    ("nft", "ip daddr"): _nft_addresses("destination", 4),
    ("nft", "ip6 saddr"): _nft_addresses("source", 6),
    ("nft", "ip6 daddr"): _nft_addresses("destination", 6),
    ("nft", "ip protocol"): _protocol,
    ("nft", "ip6 nexthdr"): _protocol,
    ("nft", "meta l4proto"): _protocol,
    **{
        ("nft", f"{protocol} {port}"): _nft_port(which, protocol)
        for protocol in ("tcp", "udp", "sctp", "th")
        for port, which in (("sport", "source"), ("dport", "destination"))
    },
    ("nft", "icmp type"): _icmp("icmp"),
    ("nft", "icmpv6 type"): _icmp("icmpv6"),
    ("nft", "ct state"): _state,
    ("nft", "ct status"): _status,
    ("nft", "ct direction"): _direction,
    ("nft", "ct original saddr"): _original(0),
    ("nft", "ct original daddr"): _original(2),
    ("nft", "ct original proto-dst"): _original(3),
    ("nft", "fib saddr type"): _address_type("source"),
    ("nft", "fib daddr type"): _address_type("destination"),
    ("nft", "meta mark"): _mark,
    ("nft", "mark"): _mark,
}
