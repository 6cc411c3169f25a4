"""Beds that stand from case to case are as new ones, and those that might not be are not used again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from testbed import Testbed
from testbed.docker import article
from testbed.kernel.namespace import quarantine
from testbed.mutation.reusable_bed import METHODS, VALUES, BedPool, ReusableBed
from testbed.rules import save
from testbed.rules.ruleset import Ruleset
from testbed.traffic.layers import ICMP, IP, TCP, UDP, IPerror, TCPerror

PUBLISHED = ("192.168.66.100", 80)
TOPOLOGY = article.topology()
ACCEPT = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"


@pytest.fixture
def beds() -> Iterator[BedPool]:
    with quarantine():
        made = BedPool()
        yield made
        made.close()


def used(
    beds: BedPool, use: Callable[[Testbed], object], rules: Ruleset | None = None, backend: str = "nft"
) -> Testbed:
    """A bed that was used so and given back."""
    with beds.bed(TOPOLOGY, rules or article.ruleset(), backend) as bed:
        use(bed)
    return bed


def handshake(bed: Testbed) -> tuple[object, ...]:
    """All that a case can know of a handshake."""
    with bed.counting() as counting:
        results = bed.connect("client", PUBLISHED).handshake()
    told = [(str(c.sent), c.sent.identification, c.translated, c.routers) for c in results]
    return (
        told,
        str(counting.result),
        str(bed.counters()),
        [str(c) for c in bed.connections()],
        len(bed.received_by("web")),
    )


def test_it_is_used_again_and_a_case_sees_what_it_sees_on_a_new_one(beds: BedPool) -> None:
    found: list[tuple[object, ...]] = []
    first = used(beds, lambda bed: found.append(handshake(bed)))
    assert used(beds, lambda bed: found.append(handshake(bed))) is first
    with Testbed.article() as new:
        found.append(handshake(new))
    assert found[0] == found[1] == found[2]


def test_rules_of_one_case_are_not_there_for_the_next(beds: BedPool) -> None:
    more = article.ruleset().insert("mangle", "FORWARD", "-j DROP").delete("filter", ACCEPT)
    first = used(beds, lambda bed: bed.connect("client", PUBLISHED).syn, more)
    delivered: list[bool] = []
    again = used(beds, lambda bed: delivered.append(bed.connect("client", PUBLISHED).syn.delivered))
    assert again is first
    assert delivered == [True]


def traced(bed: Testbed) -> list[str]:
    """What the trace of a handshake says."""
    with bed.tracing() as tracing:
        bed.connect("client", PUBLISHED).handshake()
    return [str(journey) for journey in tracing.journeys()]


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_a_bed_that_was_traced_is_used_again_and_traces_and_shows_what_a_new_one_does(
    beds: BedPool, backend: str
) -> None:
    found: list[object] = []
    first = used(beds, lambda bed: found.append(traced(bed)), backend=backend)
    assert used(beds, lambda bed: found.append(traced(bed)), backend=backend) is first
    assert used(beds, lambda bed: found.append(handshake(bed)), backend=backend) is first
    for ask in (traced, handshake):
        with Testbed.article(backend=backend) as new:
            found.append(ask(new))
    traced_once, traced_again, shook_hands, traced_anew, shook_hands_anew = found
    assert traced_once == traced_again == traced_anew
    assert shook_hands == shook_hands_anew


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_a_table_that_only_the_rules_before_had_is_not_seen(beds: BedPool, backend: str) -> None:
    more = article.ruleset().insert("mangle", "FORWARD", "-j ACCEPT")
    tables: list[set[str]] = []
    for rules in (more, article.ruleset()):
        used(beds, lambda bed: tables.append({line.table for line, _ in bed.counters()}), rules, backend)
    assert tables == [{"filter", "mangle", "nat"}, {"filter", "nat"}]


def test_after_a_kernels_own_questions_a_case_sees_what_it_sees_on_a_new_one(
    beds: BedPool,
) -> None:
    def speaking(bed: Testbed) -> list[tuple[str, str]]:
        with bed.counting() as counting:
            bed.send_from_kernel("host", "tcp", PUBLISHED)
            bed.send_from_kernel("host", "udp", ("172.17.0.2", 9))
            bed.ping("host", "172.17.0.1")
        return [(str(line), str(counters)) for line, counters in counting.result]

    found: list[object] = []
    first = used(beds, lambda bed: found.append(speaking(bed)))
    for ask in (speaking, handshake):
        assert used(beds, lambda bed, ask=ask: found.append(ask(bed))) is first
    for ask in (speaking, handshake):
        with Testbed.article() as new:
            found.append(ask(new))
    spoken, spoken_again, shook_hands, spoken_anew, shook_hands_anew = found
    assert spoken == spoken_again == spoken_anew
    assert shook_hands == shook_hands_anew


def in_use(bed: Testbed) -> object:
    return bed.send(IP(src="192.168.66.1", dst="172.17.0.2", flags="MF") / UDP(), "client")


def about_another(bed: Testbed) -> object:
    quoted = IPerror(src="192.168.66.1", dst="172.17.0.2") / TCPerror(sport=40123, dport=80)
    return bed.send(IP(src="172.17.0.2", dst="192.168.66.1") / ICMP(type=3, code=4) / quoted, "web")


def expiring(bed: Testbed) -> object:
    bed.endpoint("client")
    return bed.send(IP(src="192.168.66.1", dst="203.0.113.10", ttl=1) / TCP(), "client", via=PUBLISHED[0])


def redirected(bed: Testbed) -> object:
    """The host tells a container that its neighbour is on the same network, and its own rules drop that."""
    bed.load(bed.ruleset().insert("filter", "OUTPUT", "-p icmp -j DROP"))
    return bed.send(IP(src="172.17.0.2", dst="172.17.0.2") / UDP(), "web", via="172.17.0.1")


def to_nobody(bed: Testbed) -> object:
    """The host asks for three seconds who has that address, and then tells the client that nobody does."""
    bed.load(bed.ruleset().insert("filter", "DOCKER-USER", "-j ACCEPT"))
    packet = IP(src="192.168.66.1", dst="172.17.0.99") / UDP(dport=9)
    return bed.send(packet, "client", via="192.168.66.100")


def with_a_proxy(bed: Testbed) -> None:
    """A program runs on the host."""
    with bed.userland_proxy(article.HOST):
        pass


@pytest.mark.parametrize(
    "use",
    [
        redirected,
        to_nobody,
        lambda bed: bed.host.command(["true"]),
        lambda bed: bed.node("web"),
        lambda bed: bed.namespaces,
        lambda bed: bed.kernel("host"),
        lambda bed: bed.connect_from_kernel("host", PUBLISHED).asking.close(),
        lambda bed: bed.close(),
        lambda bed: bed.endpoint("web"),
        with_a_proxy,
        lambda bed: bed.settle_everywhere(),
        in_use,
        about_another,
        expiring,
    ],
)
def test_a_bed_in_which_more_may_have_been_left_is_not_used_again(
    beds: BedPool, use: Callable[[Testbed], object]
) -> None:
    first = used(beds, use)
    assert used(beds, handshake) is not first


KNOCK = save.parse(
    """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -p tcp -m tcp --dport 1234 -m recent --set --name KNOCK --mask 255.255.255.255 --rsource -j DROP
-A FORWARD -p tcp -m tcp --dport 80 -m recent --rcheck --seconds 60 --name KNOCK -j ACCEPT
COMMIT
"""
)


def passes(bed: Testbed) -> bool:
    return bed.connect("client", ("172.17.0.2", 80), via="192.168.66.100").syn.delivered


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_bed_whose_rules_remember_packets_is_not_used_again(beds: BedPool, backend: str) -> None:
    def knocks(bed: Testbed) -> None:
        bed.connect("client", ("172.17.0.2", 1234), via="192.168.66.100")
        delivered.append(passes(bed))

    delivered: list[bool] = []
    used(beds, knocks, KNOCK, backend)
    used(beds, lambda bed: delivered.append(passes(bed)), KNOCK, backend)
    assert delivered == [True, False]


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_bed_into_which_a_case_loaded_rules_that_remember_is_not_used_again(beds: BedPool, backend: str) -> None:
    first = used(beds, lambda bed: bed.load(KNOCK), backend=backend)
    assert used(beds, passes, backend=backend) is not first


def test_attribute_that_is_not_known_taints_a_bed(beds: BedPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that the class Testbed gets later is not taken for harmless."""
    monkeypatch.setattr(Testbed, "new_method", lambda bed: bed.counters(), raising=False)
    first = used(beds, lambda bed: bed.new_method())  # type: ignore[attr-defined]
    assert used(beds, handshake) is not first


def test_listed_attributes_exist() -> None:
    """A method that gets another name is listed under that."""
    bed = set(dir(ReusableBed)) | {"topology", "backend", "keeps_state"}
    assert bed >= VALUES | METHODS
