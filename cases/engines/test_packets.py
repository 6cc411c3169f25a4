"""Single packets as rows: from a node to an address, and what becomes of each, engine by engine.

What needs several packets of a connection, or a change of rules in between, is in the files beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from generations import DIFFERENT

from testbed import LINUX, Testbed
from testbed.docker.engines import Engine
from testbed.observe.packet_result import PacketResult
from testbed.observe.verdict import PacketVerdict
from testbed.traffic.layers import ICMP, IP

BedOf = Callable[[str], Testbed]
HOST, INTERNET, SENDER = "192.168.66.100", "203.0.113.10", 40000
WEB, APP = "172.17.0.2", "172.18.0.2"
PUBLISHED = "services: {web: {network_mode: bridge, ports: ['8080:80', '127.0.0.1:9000:90', '5353:53/udp']}}"
TWO = "services: {web: {network_mode: bridge, ports: ['80:80']}, other: {network_mode: bridge}}"
TWO_BRIDGES = """
networks: {back: {driver_opts: {com.docker.network.bridge.name: br-back}}}
services: {web: {network_mode: bridge, ports: ['80:80']}, app: {networks: [back], ports: ['8082:80']}}
"""
INTERNAL = """
networks: {inside: {internal: true, driver_opts: {com.docker.network.bridge.name: br-inside}}}
services: {web: {network_mode: bridge}, db: {networks: [inside]}, cache: {networks: [inside]}}
"""
NO_ICC, NO_MASQUERADE, NO_PROXY, NO_RULES = (
    f"daemon: {{{key}: false}}\n" for key in ("icc", "ip-masq", "userland-proxy", "iptables")
)
FIRST, LAST = (0,), (99,)
GUARDED = (28,)  # since then a container's own address is closed to the LAN
GUARDED_AS_A_WHOLE = (28, 2, 0)
FORWARD_CHAIN = (28, 0, 1)  # since then FORWARD jumps to DOCKER-FORWARD
INTERNAL_CHAIN = (29,)
POLICY = "filter FORWARD policy DROP"


@dataclass(frozen=True, slots=True)
class Row:
    """A packet from a node to an address, by engines from `since` until before `until`, and its result.

    A port 0 stands for an echo request. `via` is the router that gets the packet. `dropped_by` is the rule or the
    policy, with its table; empty: the packet is delivered to the node `to`, translated as `dnat` and `snat` say.
    """

    id: str
    host: str
    origin: str
    address: str
    port: int
    to: str = ""
    via: str = ""
    since: tuple[int, ...] = FIRST
    until: tuple[int, ...] = LAST
    dnat: str = ""
    snat: str = ""
    dropped_by: str = ""

    def holds(self, engine: Engine) -> bool:
        return self.since <= engine.since < self.until


def guard(address: str, bridge: str, port: int = 0) -> str:
    """The rule of raw that closes a container's address, or one port of it, to other interfaces."""
    of_port = f" -p tcp -m tcp --dport {port}" if port else ""
    return f"raw -A PREROUTING -d {address}/32 ! -i {bridge}{of_port} -j DROP"


LOOPBACK = "raw -A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 9000 -j DROP"
ISOLATED = "filter -A DOCKER-ISOLATION-STAGE-2 -o {} -j DROP"
INWARD, OUTWARD = "! -s 172.18.0.0/16 -o br-inside -j DROP", "! -d 172.18.0.0/16 -i br-inside -j DROP"
STAGE_1, OF_INTERNAL = "filter -A DOCKER-ISOLATION-STAGE-1 ", "filter -A DOCKER-INTERNAL "
ROWS = [
    # from the LAN
    Row("lan-published", PUBLISHED, "client", HOST, 8080, to="web", dnat=f"{WEB}:80"),
    Row("lan-own-address-closed", PUBLISHED, "client", WEB, 81, via=HOST, until=GUARDED, dropped_by=POLICY),
    Row(
        "lan-own-address-closed",
        PUBLISHED,
        "client",
        WEB,
        81,
        via=HOST,
        since=GUARDED,
        until=GUARDED_AS_A_WHOLE,
        dropped_by="filter -A DOCKER ! -i docker0 -o docker0 -j DROP",
    ),
    Row(
        "lan-own-address-closed",
        PUBLISHED,
        "client",
        WEB,
        81,
        via=HOST,
        since=GUARDED_AS_A_WHOLE,
        dropped_by=guard(WEB, "docker0"),
    ),
    Row("lan-own-address-published", PUBLISHED, "client", WEB, 80, via=HOST, until=GUARDED, to="web"),
    Row(
        "lan-own-address-published",
        PUBLISHED,
        "client",
        WEB,
        80,
        via=HOST,
        since=GUARDED,
        until=GUARDED_AS_A_WHOLE,
        dropped_by=guard(WEB, "docker0", 80),
    ),
    Row(
        "lan-own-address-published",
        PUBLISHED,
        "client",
        WEB,
        80,
        via=HOST,
        since=GUARDED_AS_A_WHOLE,
        dropped_by=guard(WEB, "docker0"),
    ),
    Row("lan-loopback", PUBLISHED, "client", "127.0.0.1", 9000, via=HOST, until=GUARDED, to="web", dnat=f"{WEB}:90"),
    Row("lan-loopback", PUBLISHED, "client", "127.0.0.1", 9000, via=HOST, since=GUARDED, dropped_by=LOOPBACK),
    Row("lan-through-the-host", PUBLISHED, "client", INTERNET, 80, via=HOST, dropped_by=POLICY),
    Row("lan-no-rules", NO_RULES + PUBLISHED, "client", WEB, 81, via=HOST, to="web"),
    # from containers
    Row("container-internet", TWO, "web", INTERNET, 443, to="internet", snat=f"{HOST}:{SENDER}"),
    Row("container-internet-no-masquerade", NO_MASQUERADE + TWO, "web", INTERNET, 443, to="internet"),
    Row("container-internet-no-rules", NO_RULES + TWO, "web", INTERNET, 443, to="internet"),
    Row("neighbour", TWO, "web", "172.17.0.3", 7000, to="other"),
    Row(
        "neighbour-no-icc",
        NO_ICC + TWO,
        "web",
        "172.17.0.3",
        7000,
        until=FORWARD_CHAIN,
        dropped_by="filter -A FORWARD -i docker0 -o docker0 -j DROP",
    ),
    Row(
        "neighbour-no-icc",
        NO_ICC + TWO,
        "web",
        "172.17.0.3",
        7000,
        since=FORWARD_CHAIN,
        dropped_by="filter -A DOCKER-FORWARD -i docker0 -o docker0 -j DROP",
    ),
    Row("hairpin-no-proxy", NO_PROXY + TWO, "other", HOST, 80, to="web", dnat=f"{WEB}:80"),
    *(
        Row("other-bridge", TWO_BRIDGES, origin, address, 80, since=since, until=until, dropped_by=by)
        for origin, address, bridge in (("web", APP, "br-back"), ("app", WEB, "docker0"))
        for since, until, by in (
            (FIRST, GUARDED, ISOLATED.format(bridge)),
            (GUARDED, GUARDED_AS_A_WHOLE, guard(address, bridge, 80)),
            (GUARDED_AS_A_WHOLE, LAST, guard(address, bridge)),
        )
    ),
    # internal networks
    Row("internal-neighbour", INTERNAL, "db", "172.18.0.3", 6379, to="cache"),
    *(
        row
        for since, until, chain in ((FIRST, INTERNAL_CHAIN, STAGE_1), (INTERNAL_CHAIN, LAST, OF_INTERNAL))
        for row in (
            Row("internal-inward", INTERNAL, "web", APP, 5432, since=since, until=until, dropped_by=chain + INWARD),
            Row(
                "internal-outward",
                INTERNAL,
                "db",
                INTERNET,
                0,
                via="172.18.0.1",
                since=since,
                until=until,
                dropped_by=chain + OUTWARD,
            ),
        )
    ),
]


def by_engine() -> Iterator[object]:
    """Yield each row with each engine that it is about."""
    for row in ROWS:
        for engine in filter(row.holds, DIFFERENT):
            yield pytest.param(engine, row, id=f"{row.id}-from-{row.origin}-{engine.name}")


@pytest.mark.parametrize(("engine", "row"), [*by_engine()])
def test_packet(bed_of: BedOf, row: Row) -> None:
    result = sent(bed_of(row.host), row)
    if row.dropped_by:
        by = result.dropped_by
        text = by.text if by.number is not None else f"{by.chain} {by.text}"
        assert (result.verdict, f"{by.table} {text}") == (PacketVerdict.DROPPED, row.dropped_by)
    else:
        assert (result.verdict, result.delivered_to) == (PacketVerdict.DELIVERED, row.to)
        assert (result.dnat, result.snat) == (row.dnat, row.snat)


def test_every_row_is_about_some_engine_and_every_engine_has_the_same_packets() -> None:
    packets = {(row.id, row.origin) for row in ROWS}
    for engine in DIFFERENT:
        found = [(row.id, row.origin) for row in ROWS if row.holds(engine)]
        assert (set(found), len(found)) == (packets, len(packets))
    assert all(any(map(row.holds, DIFFERENT)) for row in ROWS)


def sent(bed: Testbed, row: Row) -> PacketResult:
    """Send a row's packet."""
    if row.port:
        to = (row.address, row.port)
        return bed.connect(row.origin, to, stack=LINUX, port=SENDER, via=row.via or None).syn
    source = bed.endpoint(row.origin).address_towards(row.address)
    return bed.send(IP(src=source, dst=row.address) / ICMP(type=8), row.origin, via=row.via or None)
