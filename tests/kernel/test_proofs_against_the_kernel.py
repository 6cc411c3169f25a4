"""Proofs about rules that count, remember, or ask for connections hold in the kernel: random rules, fixed seeds."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from testbed import Testbed
from testbed.behaviour.mutants import mutants, proof
from testbed.coverage import covered
from testbed.coverage.recording import Recorder
from testbed.docker import article
from testbed.kernel.namespace import quarantine
from testbed.rules import save
from testbed.rules.ruleset import Ruleset
from testbed.traffic.layers import IP, TCP, UDP

CLAUSES = (
    "-m conntrack {no}--ctorigdst 172.17.0.2",
    "-m conntrack --ctdir ORIGINAL",
    "-m conntrack {no}--ctstatus NONE",
    "-m conntrack --ctstate INVALID {no}--ctorigdst 172.17.0.2",
    "-m conntrack --ctstate NEW,UNTRACKED {no}--ctproto 6",
    "-m conntrack {no}--ctstate INVALID,UNTRACKED",
    "-m conntrack {no}--ctstate NEW",
    "-p tcp",
    "{no}-p udp",
    "-p tcp -m tcp {no}--dport 80",
    "-p udp -m udp {no}--dport 80",
    "-m limit --limit 1/hour --limit-burst 2",
    "-m recent --set --name KNOCK",
    "-m recent {no}--rcheck --name KNOCK",
    "-m quota --quota 80",
    "-m statistic --mode nth --every 2 --packet 0",
    "-m connlimit --connlimit-above 1",
    "-m length {no}--length 0:50",
)
SEEDS = range(12)
BACKENDS = ("nft", "legacy")
HEAD = """\
*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p udp -m udp --sport 9 -j CT --notrack
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD {policy} [0:0]
:OUTPUT ACCEPT [0:0]
:A - [0:0]
"""


def random_rules(chance: random.Random) -> Ruleset:
    def spec(*targets: str) -> str:
        chosen = chance.sample(CLAUSES, chance.choice((0, 1, 1, 1, 2)))
        modules = {clause.split("-m ")[-1].split()[0] for clause in chosen}
        kept = chosen if len(modules) == len(chosen) and sum("-p " in clause for clause in chosen) < 2 else chosen[:1]
        negated = (clause.format(no=chance.choice(("", "! "))) for clause in kept)
        return " ".join([*negated, "-j", chance.choice(targets)])

    forward = [f"-A FORWARD {spec('ACCEPT', 'DROP', 'A')}" for _ in range(chance.randrange(2, 5))]
    inner = [f"-A A {spec('ACCEPT', 'DROP', 'RETURN')}" for _ in range(chance.randrange(1, 4))]
    lines = [HEAD.format(policy=chance.choice(("ACCEPT", "DROP"))).rstrip(), *forward, *inner, "COMMIT", ""]
    return save.parse("\n".join(lines), "random.rules")


def sent(bed: Testbed) -> list[bool]:
    """Whether each packet arrived: new ones, invalid ones, untracked ones, and more of the same connections."""
    arrived = []
    for port in (80, 81):
        for number, flags in enumerate(("S", "SA", "R", "S")):
            tcp = TCP(sport=3000 + port + number % 3, dport=port, flags=flags)
            arrived.append(delivered(bed, tcp))
        arrived += [delivered(bed, UDP(sport=source, dport=port)) for source in (9, 9, 4000, 4000)]
    return arrived


def delivered(bed: Testbed, layer: object) -> bool:
    packet = IP(src="192.168.66.1", dst="172.17.0.2") / layer
    return bed.send(packet, "client", via="192.168.66.100").delivered


@pytest.fixture
def _alone() -> Iterator[None]:
    with quarantine():
        yield


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_packet_does_what_coverage_proves_impossible(seed: int, backend: str) -> None:
    """The report raises Disagreement for a packet that does."""
    recorder = Recorder()
    recorder.test = "one"
    with recorder.installed(), Testbed.article(random_rules(random.Random(seed)), backend) as bed:
        sent(bed)
    assert not recorder.coverage.troubles
    (recorded,) = recorder.coverage.rule_sets
    report = covered.report(recorded, recorder.coverage)
    assert report is not None
    assert report.reached.seen > 1


def test_no_packet_that_is_sent_first_contradicts_a_proof_about_invalid_packets() -> None:
    """Reported in public trackers, cut down: an invalid packet meets neither a conntrack clause nor its negation."""
    forward = "-A FORWARD -m conntrack {}--ctorigdst 172.17.0.2 -j {}\n"
    text = HEAD.format(policy="ACCEPT") + forward.format("! ", "DROP") + forward.format("", "ACCEPT") + "COMMIT\n"
    recorder = Recorder()
    recorder.test = "one"
    with quarantine(), recorder.installed(), Testbed.article(save.parse(text)) as bed:
        assert delivered(bed, TCP(sport=3000, dport=80, flags="SA"))
    (recorded,) = recorder.coverage.rule_sets
    report = covered.report(recorded, recorder.coverage)
    assert report is not None
    (second,) = [rule for rule in report.rules if rule.record.words.endswith("--ctorigdst 172.17.0.2 -j ACCEPT")]
    assert second.record.missed > 0
    assert second.never_missed == ""


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("seed", SEEDS)
def test_mutant_that_is_proved_equivalent_lets_the_same_packets_through(seed: int) -> None:
    chance = random.Random(seed)
    rules = random_rules(chance)
    proved = [mutant for mutant in mutants(rules) if mutant.table == "filter" and proof(rules, mutant)]
    with Testbed.article(rules) as bed:
        expected = sent(bed)
    for mutant in chance.sample(proved, min(len(proved), 4)):
        changed = mutant.apply(rules)
        assert changed is not None
        with Testbed.article(changed) as bed:
            assert sent(bed) == expected, f"{mutant.id}: {proof(rules, mutant)}\n{save.render(rules)}"


def test_random_rules_have_mutants_that_are_proved_equivalent() -> None:
    found = [
        proof(rules, mutant) for rules in map(random_rules, map(random.Random, SEEDS)) for mutant in mutants(rules)
    ]
    assert len(list(filter(None, found))) > len(SEEDS)


def test_article_is_still_proved_about() -> None:
    rules = article.ruleset()
    assert sum(proof(rules, mutant) is not None for mutant in mutants(rules)) > 20
