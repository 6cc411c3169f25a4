"""Random hosts and rules: each cell of the matrix and its neighbours against real packets.

The witness of each cell is sent, and packets to each address and port that its row names, from each node of its column.
What the matrix proves of them has to be what the kernel does.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.analysis.packets import TCP, UDP, address_bits
from testbed.analysis.reachability import Reachability
from testbed.analysis.space import empty
from testbed.analysis.vector import PacketSet
from testbed.bed import Testbed
from testbed.behaviour.ask import behaviours
from testbed.behaviour.probes import Probe
from testbed.docker import naming
from testbed.docker.article import HOST
from testbed.docker.engines import chosen_for
from testbed.docker.host import Container, DockerHost, Network, PublishedPort
from testbed.exposure.columns import ColumnKind, ExposureColumn, columns
from testbed.exposure.made import ExposureStand
from testbed.exposure.matrix import MatrixBuilder
from testbed.exposure.rows import ExposureRow, rows
from testbed.kernel.namespace import quarantine
from testbed.rules.ruleset import Ruleset

HOST_ADDRESS = "192.168.66.100"
NUMBERS = {"tcp": TCP, "udp": UDP}
CLAUSES = [
    *("-i ens33", "! -i ens33", "-o ens33", "-s 192.168.66.0/24", "! -s 192.168.66.1", "-d 10.1.0.2", "-s 10.2.0.0/24"),
    *("-p tcp --dport 80", "-p tcp --dport 8080", "-p udp --dport 53", "-p tcp --sport 80", "-p udp", "-d 10.2.0.0/24"),
    *("-m conntrack --ctstate NEW", "-m conntrack --ctstate ESTABLISHED", "-p tcp --syn", "-m length --length 0:50"),
]
TARGETS = ["ACCEPT", "DROP", "REJECT", "RETURN", "DROP"]


@st.composite
def hosts(draw: st.DrawFn) -> DockerHost:
    """Draw one to three networks with containers, some of them published."""
    networks, containers = [], []
    ports = iter((8080, 8081, 5353, 9000, 2525, 443))
    for number in range(1, draw(st.integers(1, 3)) + 1):
        gateway = IPv4Interface(f"10.{number}.0.1/24")
        internal = draw(st.booleans()) and number > 1
        icc = draw(st.booleans())
        network = Network(
            f"br-{number}", gateway, naming.mac(gateway.ip), name=f"n{number}", icc=icc, internal=internal
        )
        networks.append(network)
        for place in range(2, 2 + draw(st.integers(1, 2))):
            address, name = IPv4Address(f"10.{number}.0.{place}"), f"c{number}{place}"
            published: tuple[PublishedPort, ...] = ()
            if draw(st.booleans()):
                protocol, to = draw(st.sampled_from([("tcp", 80), ("udp", 53)]))
                at = draw(st.sampled_from([None, IPv4Address("127.0.0.1"), IPv4Address(HOST_ADDRESS)]))
                published = (PublishedPort(next(ports), to, protocol, at),)
            made = (naming.mac(address), naming.veth(name), naming.veth_mac(name))
            containers.append(Container(name, network, address, *made, published))
    proxy = draw(st.booleans())
    return DockerHost(tuple(networks), tuple(containers), userland_proxy=proxy, surroundings=HOST.surroundings)


@st.composite
def stands(draw: st.DrawFn) -> ExposureStand:
    """Draw a host with an engine's rules, and up to six rules in front of them."""
    host = draw(hosts())
    engine = chosen_for(host, draw(st.sampled_from(["20.10", "27", "28"])))
    rules = engine.rules(host)
    assert isinstance(rules, Ruleset)
    for _ in range(draw(st.integers(0, 6))):
        chain = draw(st.sampled_from(["DOCKER-USER", "DOCKER-USER", "FORWARD", "INPUT"]))
        clauses = draw(st.lists(st.sampled_from(CLAUSES), max_size=2, unique_by=lambda clause: clause.split("-")[1][0]))
        kept = [clause for clause in clauses if not (chain == "INPUT" and "-o " in clause)]
        if len([clause for clause in kept if clause.startswith("-p")]) < 2:
            words = sorted(kept, key=lambda clause: clause.startswith("-m"))
            rules = rules.insert("filter", chain, " ".join((*words, "-j", draw(st.sampled_from(TARGETS)))))
    return ExposureStand.of(engine.built(host), rules, "")


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(stands())
def test_each_cell_of_a_random_host_is_what_the_kernel_does(stand: ExposureStand) -> None:
    matrix = stand.confirmed()
    sent = [cell for cell in matrix.cells if cell.witness is not None and cell.witness.probe is not None]
    assert sent
    assert [cell for cell in sent if not cell.confirmed] == []
    asked = list(predictions(stand))
    with quarantine(), Testbed(stand.topology, stand.rules, stand.backend) as bed:
        found = behaviours(bed, [probe for probe, _, _ in asked])
    wrong = [
        (str(one.probe), node, reached, one.outcome)
        for one, (_, node, reached) in zip(found, asked, strict=True)
        if one.outcome.startswith(f"reaches {node} ") is not reached
    ]
    assert wrong == []


def predictions(stand: ExposureStand) -> list[tuple[Probe, str, bool]]:
    """Return probes with the node that their row is about, and whether it gets them."""
    reachability = Reachability(stand.rules, stand.topology)
    builder = MatrixBuilder(reachability, stand.topology)
    beside = [column for column in columns(stand.topology, stand.host) if column.kind is not ColumnKind.HOST]
    found: dict[tuple[Probe, str], bool] = {}
    for row in rows(stand.topology, stand.host):
        got = reachability.world.space.any_of(
            reachability.ending(place) for place in (row.own if not row.on_host else row.target.ends)
        )
        for column in beside:
            for probe, point in probes(builder, row, column):
                if empty(point):
                    continue
                inside, outside = not empty(point & got), not empty(point & ~got)
                if inside != outside:
                    found.setdefault((probe, row.node), inside)
    return [(probe, node, reached) for (probe, node), reached in found.items()]


def probes(builder: MatrixBuilder, row: ExposureRow, column: ExposureColumn) -> list[tuple[Probe, PacketSet]]:
    """Return probes of each sender to the addresses and ports of a row, as sets of one packet but for its port."""
    world = builder.reachability.world
    space, packet = world.space, world.packet
    made = []
    for sender in column.senders[:2]:
        for way in row.target.ways:
            for prefix in [own for own in way.addresses if own.version == 4][:3]:
                address = prefix.network_address + (prefix.prefixlen < 32)
                for protocol, number in NUMBERS.items():
                    port = way.ports[0][0] if row.port is not None else 7
                    if number not in way.protocols or sender.node == row.node:
                        continue
                    point = builder.come(column, 4) & space.all_of(
                        (
                            space.equal(packet.source, address_bits(sender.address)),
                            space.equal(packet.destination, address_bits(address)),
                            space.equal(packet.protocol, number),
                            space.equal(packet.second, port),
                            space.between(packet.first, 40000, 65535),
                            space.equal(packet.length, 40 if number == TCP else 28),
                            space.equal(packet.ttl, 63 if column.kind is ColumnKind.INTERNET else 64),
                            space.equal(packet.tos, 0),
                            space.equal(packet.mac, int(sender.mac.replace(":", ""), 16)),
                        )
                    )
                    bridged = not empty(point & packet.bridged)
                    direct = column.kind is ColumnKind.DIRECT or (column.kind is ColumnKind.NETWORK and not bridged)
                    made.append((Probe(sender.node, protocol, str(address), port, direct=direct), point))
    return made
