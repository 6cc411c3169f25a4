"""The analysis of packet sets held against the kernel: random rules, random packets, each traced on a real bed.

What the model says of a packet (where it comes out, what its header is then, which rule decided) has to be what the
kernel did.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from testbed import Testbed
from testbed.analysis import iptables
from testbed.analysis.fates import End, fates
from testbed.analysis.packets import FLAGS, address_bits
from testbed.analysis.path import Outcome
from testbed.analysis.vector import PacketSet
from testbed.analysis.world import World
from testbed.behaviour.static_neighbours import add_static_neighbours
from testbed.docker import article
from testbed.observe.journey import DELIVERED, DROPPED, LET_THROUGH, LOCAL_INPUT, LOST, Journey
from testbed.pytest_plugin import MakeBed
from testbed.rules.reference import RuleReference
from testbed.rules.ruleset import Ruleset
from testbed.traffic.layers import ICMP, IP, TCP, UDP, Raw

HOST, CLIENT, WEB, INTERNET = "192.168.66.100", "192.168.66.1", "172.17.0.2", "203.0.113.10"
OTHER, BRIDGE, STRANGER = "172.17.0.3", "172.17.0.1", "198.51.100.7"
MACS = {"client": "00:50:56:c0:00:08", "web": "02:42:ac:11:00:02", "gateway": "00:50:56:e0:00:fe"}
ENTERED = {"client": "ens33", "internet": "ens33", "web": "docker0"}
NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "gre": 47, "esp": 50, "ospf": 89, "vrrp": 112}
PORTLESS = ("gre", "esp", "ospf", "vrrp")  # one packet of each, or the second may be the first one's reply
SEEDS = range(8)
PACKETS = 40

# Clauses by the option that a rule can have only once; `{}` is where a ! may stand.
CLAUSES = {
    "source": ["{}-s 192.168.66.0/24", "{}-s 172.17.0.2", "{}-s 203.0.113.0/24", "{}-s 0.0.0.2/0.0.0.255"],
    "destination": ["{}-d 172.17.0.2", "{}-d 172.17.0.0/16", "{}-d 192.168.66.1", "{}-d 203.0.0.0/8"],
    "length": ["-m length {}--length 0:60", "-m length {}--length 100:1500"],
    "ttl": ["-m ttl {}--ttl-eq 63", "-m ttl --ttl-lt 10", "-m ttl --ttl-gt 100"],
    "tos": [
        "-m dscp {}--dscp 0x2e",
        "-m dscp {}--dscp-class AF11",
        "-m tos {}--tos 0x10/0xff",
        "-m ecn --ecn-ip-ect 1",
    ],
    "state": [
        *(
            "-m conntrack --ctstate NEW",
            "-m conntrack {}--ctstate INVALID",
            "-m conntrack --ctstate RELATED,ESTABLISHED",
        ),
        *("-m conntrack {}--ctstate DNAT", "-m conntrack --ctstate INVALID --ctdir ORIGINAL", "-m state --state NEW"),
        *("-m conntrack {}--ctorigdst 192.168.66.100", "-m conntrack --ctdir REPLY", "-m conntrack --ctproto 17"),
        "-m conntrack {}--ctorigdstport 80",
    ],
    "type": [
        *("-m addrtype {}--dst-type LOCAL", "-m addrtype --src-type UNICAST", "-m addrtype {}--dst-type UNICAST"),
        "-m addrtype --dst-type MULTICAST",
    ],
    "range": ["-m iprange {}--src-range 192.168.66.1-192.168.66.9", "-m iprange {}--dst-range 172.17.0.2-172.17.0.9"],
    "mark": ["-m mark {}--mark 0x1", "-m mark --mark 0x2/0x2"],
    "mac": ["-m mac {}--mac-source 00:50:56:c0:00:08"],
}
PROTOCOLS = {
    "tcp": [
        *(
            "-m tcp {}--dport 80",
            "-m tcp --sport 1024:45000",
            "-m tcp {}--dport 22:90",
            "-m tcp --syn",
            "-m tcp ! --syn",
        ),
        *("-m tcp --tcp-flags SYN,ACK ACK", "-m tcp --tcp-flags ALL NONE", "-m tcp {}--tcp-flags RST,FIN RST"),
        *("-m multiport --dports 22,80,5432", "-m multiport {}--ports 80,443"),
    ],
    "udp": ["-m udp {}--dport 53", "-m udp --sport 40000:50000", "-m multiport {}--dports 53,123"],
    "icmp": ["-m icmp {}--icmp-type 8", "-m icmp --icmp-type 3/4", "-m icmp --icmp-type timestamp-request"],
    "gre": [""],
}
INTERFACES = {
    "FORWARD": ["{}-i ens33", "{}-i docker0", "{}-o docker0", "{}-o ens33", "-i docker+", "-i ens33 -o docker0"],
    "INPUT": ["{}-i ens33", "-i docker+"],
    "PREROUTING": ["{}-i ens33", "{}-i docker0"],
    "POSTROUTING": ["{}-o ens33", "-o docker0"],
}
KINDS = sum(map(len, (*CLAUSES.values(), *PROTOCOLS.values(), *INTERFACES.values())))


def spec(chance: random.Random, chain: str) -> str:
    """A rule's conditions: one to three, of which the kernel takes each together with the others."""
    parts = []
    if chance.random() < 0.4:
        parts.append(chance.choice(INTERFACES[chain]))
    asked = chance.sample(sorted(CLAUSES), chance.choice([0, 1, 1, 2]))
    asked = [name for name in asked if name != "mac" or chain != "POSTROUTING"]
    first = [name for name in asked if name in ("source", "destination")]
    parts += [chance.choice(CLAUSES[name]) for name in first]
    if chance.random() < 0.6 or (not parts and not asked):
        protocol = chance.choice(sorted(PROTOCOLS))
        parts += [f"-p {protocol}", chance.choice(PROTOCOLS[protocol])]
    parts += [chance.choice(CLAUSES[name]) for name in asked if name not in first]
    return " ".join(part.format("! " if chance.random() < 0.3 else "") for part in parts if part)


def random_rules(seed: int) -> Ruleset:
    """The article's rules with random ones in front of them."""
    chance = random.Random(seed)
    rules = article.ruleset()
    for _ in range(chance.randint(4, 9)):
        target = chance.choice(["ACCEPT", "DROP", "REJECT", "RETURN", "DROP"])
        rules = rules.insert("filter", "DOCKER-USER", f"{spec(chance, 'FORWARD')} -j {target}")
    for _ in range(chance.randint(1, 3)):
        rules = rules.insert("filter", "INPUT", f"{spec(chance, 'INPUT')} -j {chance.choice(['ACCEPT', 'DROP'])}")
    for _ in range(chance.randint(0, 2)):
        mark = chance.choice(["--set-xmark 0x1/0xffffffff", "--set-xmark 0x2/0x3"])
        rules = rules.insert("mangle", "PREROUTING", f"{spec(chance, 'PREROUTING')} -j MARK {mark}")
    if chance.random() < 0.5:
        to = chance.choice(["-j DNAT --to-destination 172.17.0.2", "-j RETURN"])
        rules = rules.insert("nat", "PREROUTING", f"{spec(chance, 'PREROUTING')} {to}")
    if chance.random() < 0.5:
        to = chance.choice(["-j MASQUERADE", "-j SNAT --to-source 172.17.0.1", "-j ACCEPT"])
        rules = rules.insert("nat", "POSTROUTING", f"{spec(chance, 'POSTROUTING')} {to}")
    if chance.random() < 0.3:
        rules = rules.insert("raw", "PREROUTING", f"{spec(chance, 'PREROUTING')} -j CT --notrack")
    return rules


@dataclass(frozen=True)
class Sent:
    """A packet as it is sent; `second` is the port that is asked, of ICMP type and code are in `message`."""

    origin: str
    source: str
    destination: str
    protocol: str
    first: int
    second: int
    flags: str
    message: tuple[int, int]
    length: int
    ttl: int
    tos: int

    @property
    def layers(self) -> IP:
        number = NUMBERS[self.protocol]
        header = IP(src=self.source, dst=self.destination, ttl=self.ttl, tos=self.tos, proto=number)
        if self.protocol == "tcp":
            packet = header / TCP(sport=self.first, dport=self.second, flags=self.flags)
        elif self.protocol == "udp":
            packet = header / UDP(sport=self.first, dport=self.second)
        elif self.protocol == "icmp":
            packet = header / ICMP(type=self.message[0], code=self.message[1], id=self.first, seq=1)
        else:
            packet = header
        return packet / Raw(bytes(self.length - len(packet)))


def random_packets(seed: int) -> list[Sent]:
    """Packets of which no two belong to one connection."""
    chance = random.Random(seed + 1000)
    found: list[Sent] = []
    taken: set[str] = set()
    while len(found) < PACKETS:
        origin = chance.choice(["client", "web", "client", "internet"])
        source = {"client": CLIENT, "web": WEB, "internet": INTERNET}[origin]
        source = chance.choice([source, source, source, STRANGER if origin != "internet" else source])
        destination = chance.choice([HOST, WEB, OTHER, INTERNET, BRIDGE, CLIENT])
        protocol = chance.choice(["tcp", "tcp", "tcp", "udp", "icmp", *PORTLESS])
        if source == destination or protocol in taken or (origin == "internet" and destination != HOST):
            continue
        taken |= {protocol} & set(PORTLESS)
        message = chance.choice([(8, 0), (0, 0), (13, 0), (8, 0)])
        sent = Sent(
            origin,
            source,
            destination,
            protocol,
            40000 + len(found),
            chance.choice([80, 22, 53, 5432, 443]),
            chance.choice(["S", "S", "A", "R", "FPU", "", "SA", "FA", "SEC"]),
            message,
            chance.choice([60, 61, 100, 400, 1000, 1500]),
            chance.choice([64, 2, 5, 11, 64, 128, 255]),
            chance.choice([0, 0xB8, 0x10, 0x28, 1]),
        )
        found.append(sent)
    return found


def as_set(world: World, sent: Sent) -> PacketSet:
    """The set of a packet alone, but for what is in no rule here."""
    space, variables = world.space, world.variables
    flags = sum(1 << (7 - place) for place, name in enumerate(FLAGS) if _letter(name) in sent.flags)
    is_ported = sent.protocol in ("tcp", "udp")
    words = {"icmp": (sent.message[0] << 8 | sent.message[1], 0)}.get(sent.protocol, (0, 0))
    numbers = [
        (variables.entered, world.interfaces.number(ENTERED[sent.origin])),
        (variables.source, address_bits(ip_address(sent.source))),
        (variables.destination, address_bits(ip_address(sent.destination))),
        (variables.protocol, NUMBERS[sent.protocol]),
        (variables.first, sent.first if is_ported else words[0]),
        (variables.second, sent.second if is_ported else words[1]),
        (variables.flags, flags if sent.protocol == "tcp" else 0),
        (variables.length, sent.length),
        (variables.ttl, sent.ttl - (sent.origin == "internet")),  # the gateway is on its way
        (variables.tos, sent.tos),
        (variables.mac, int(MACS["gateway" if sent.origin == "internet" else sent.origin].replace(":", ""), 16)),
        *((vector, 0) for vector in (variables.six, variables.bridged, variables.damaged, variables.fragment)),
    ]
    return space.all_of(space.equal(vector, value) for vector, value in numbers)


def _letter(name: str) -> str:
    return {"CWR": "C", "ECE": "E"}.get(name, name[0])


@dataclass(frozen=True)
class Said:
    """What is said of a packet: how it ended, by which rule, by which interface it left, what its header was then."""

    end: str
    by: str
    left: str
    source: str
    destination: str
    port: int


def of_model(world: World, outcome: Outcome, one: PacketSet, words: Ruleset) -> Said:
    space = world.space
    (fate,) = [fate for fate in fates(space, outcome) if (fate.packets & one).satisfiable()]
    if fate.end is not End.PASSED:
        by = _named(words, fate.reference) if fate.end is End.CLOSED and fate.reference is not None else ""
        return Said("closed" if by else "no way", by, "", "", "", 0)
    local, packet = (outcome.delivered & one).satisfiable(), outcome.packet
    return Said(
        "local" if local else "forwarded",
        "",
        "" if local else world.interfaces.names[space.value(packet.left, one)],
        _address(space.value(packet.source, one)),
        _address(space.value(packet.destination, one)),
        space.value(packet.second, one),
    )


def _address(bits: int) -> str:
    return str(ip_address(bits >> 96))


def _named(words: Ruleset, reference: RuleReference) -> str:
    """A rule in the kernel's words."""
    if reference.number is None:
        return f"{reference.table} {reference.text}"
    return f"{reference.table} {words.table(reference.table).rules_of(reference.chain)[reference.number - 1].text}"


def of_kernel(journey: Journey, sent: Sent) -> Said:
    end = journey.end
    host = next((passed for passed in reversed(journey.passes) if passed.node == "host"), None)
    if end.kind == DROPPED:
        return Said("closed", end.by, "", "", "", 0)
    assert host is not None, (journey, sent)
    last = host.hooks[-1]
    if end.kind == LOST and end.where == "host" and last.hook not in ("POSTROUTING",):
        return Said("no way", "", "", "", "", 0)
    assert end.kind in (DELIVERED, LOCAL_INPUT, LET_THROUGH, LOST), end
    assert last.after is not None
    local = last.hook == "INPUT"
    port = last.after.destination_port if sent.protocol in ("tcp", "udp") else 0
    return Said(
        "local" if local else "forwarded",
        "",
        "" if local else last.left,
        last.after.source,
        last.after.destination,
        port,
    )


def test_there_are_clauses_of_many_kinds() -> None:
    assert KINDS >= 60


@pytest.mark.parametrize("seed", SEEDS)
def test_random_packets_fare_as_the_model_says(make_bed: MakeBed, seed: int) -> None:
    rules, packets = random_rules(seed), random_packets(seed)
    bed: Testbed = make_bed(rules=rules)
    add_static_neighbours(bed.host, bed.topology, {address for p in packets for address in (p.source, p.destination)})
    world = World.of(article.topology())
    outcome = world.first(iptables.program(rules, nft=bed.backend.name == "nft"))
    assert not world.opaque.known
    journeys = [followed(bed, sent) for sent in packets]
    wrong = []
    for sent, journey in zip(packets, journeys, strict=True):
        one = as_set(world, sent)
        assert (one & world.possible).satisfiable(), sent
        model, kernel = of_model(world, outcome, one, bed.words()), of_kernel(journey, sent)
        port = model.port if sent.protocol in ("tcp", "udp") else 0
        if Said(model.end, model.by, model.left, model.source, model.destination, port) != kernel:
            wrong.append(f"{sent}\n  model  {model}\n  kernel {kernel}")
    assert not wrong, "\n".join([*(f"{table.name} {rule.text}" for table, rule in rules.rules), *wrong])
    assert {of_kernel(journey, sent).end for journey, sent in zip(journeys, packets, strict=True)} >= {"closed"}


def followed(bed: Testbed, sent: Sent) -> Journey:
    """The journey of a packet; what the host answers one with is not there when the next is followed."""
    with bed.tracing() as tracing:
        return tracing.journey(bed.send(sent.layers, sent.origin, via=_via(sent)))


def _via(sent: Sent) -> str | None:
    if sent.origin == "client":
        return HOST if sent.destination != HOST else None
    return BRIDGE if sent.origin == "web" and sent.destination != BRIDGE else None
