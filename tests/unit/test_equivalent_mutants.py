"""A proof that a mutant is equivalent never contradicts a packet: random rules, random packets, fixed seeds."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from testbed.behaviour.mutants import Mutant, equivalent, mutants, proof
from testbed.docker import article
from testbed.docker.engines import engine
from testbed.rules import Ruleset, Table, save
from testbed.rules.clauses import clauses, target_of
from testbed.rules.matching import first_failing
from testbed.rules.packet_context import PacketContext

NAMES = ("docker0", "br-1", "ens33", "lo", "docker1")
ADDRESSES = ("172.17.0.1", "172.17.0.2", "172.17.0.3", "172.18.0.2", "192.168.66.1", "8.8.8.8", "127.0.0.1", "10.0.0.9")
PORTS = (79, 80, 81, 443, 444, 22, 1000)
STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
HOOKS = {"filter": ("INPUT", "FORWARD", "OUTPUT"), "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")}
HOOKS["raw"] = ("PREROUTING", "OUTPUT")
SEEDS = range(16)

Told = tuple[str, ...] | None


def packet(chance: random.Random, hook: str) -> PacketContext:
    protocol = chance.choice(("tcp", "udp", "icmp", "47"))
    kinds = {address: chance.choice(("LOCAL", "UNICAST", "BROADCAST")) for address in ADDRESSES}
    ported = protocol in ("tcp", "udp")
    return PacketContext(
        chance.choice(ADDRESSES),
        chance.choice(ADDRESSES),
        protocol,
        source_port=chance.choice(PORTS) if ported else None,
        destination_port=chance.choice(PORTS) if ported else None,
        tcp_flags=chance.choice(("S", "SA", "A", "R", "FA")) if protocol == "tcp" else None,
        icmp=(chance.choice((0, 3, 8)), 0) if protocol == "icmp" else None,
        entered="" if hook == "OUTPUT" else chance.choice(NAMES),
        left="" if hook in ("PREROUTING", "INPUT") else chance.choice(NAMES),
        state=chance.choice(STATES),
        mark=chance.choice((0, 1, 2)),
        local_types=kinds,
        fragment=chance.random() < 0.05,
    )


def fate(table: Table, chain: str, facts: PacketContext) -> Told:
    """What is done with a packet, by the letter; None where a rule's answer is not known."""
    done: list[str] = []
    ended = walked(table, chain, facts, done)
    if ended is None:
        return None
    policy = next((known.policy or "" for known in table.chains if known.name == chain), "")
    return (*done, ended or policy)


def walked(table: Table, chain: str, facts: PacketContext, done: list[str]) -> str | None:
    """The target that ended a packet's way; '' where it comes back."""
    for rule in table.rules_of(chain):
        matches = first_failing(clauses(rule.spec), facts).matches
        if matches is None:
            return None
        target = target_of(rule.spec)
        if not matches or target is None:
            continue
        if target.name in {known.name for known in table.chains}:
            ended = walked(table, target.name, facts, done)
            if ended is None or ended or target.verb == "goto":
                return ended
        elif target.name == "RETURN":
            return ""
        elif target.name in ("LOG", "MARK"):
            done.append(target.text)
        else:
            return target.text
    return ""


def random_rules(chance: random.Random) -> Ruleset:
    """A filter table with jumps downward, clauses that overlap in many ways, and all verdicts."""
    chains = ("INPUT", "FORWARD", "OUTPUT", "A", "B")
    lines = [f":{chain} {chance.choice(('ACCEPT', 'DROP')) if len(chain) > 1 else '-'} [0:0]" for chain in chains]
    for chain in chains:
        lines += [f"-A {chain} {random_spec(chance, chain)}" for _ in range(chance.randrange(1, 5))]
    return save.parse("\n".join(["*filter", *lines, "COMMIT", ""]))


def random_spec(chance: random.Random, chain: str) -> str:
    pieces = [
        "{no}-s " + chance.choice(("172.17.0.0/16", "172.17.0.2/32", "172.16.0.0/12", "8.0.0.0/8")),
        "{no}-d " + chance.choice(("172.17.0.0/16", "172.17.0.2/32", "172.18.0.0/16", "127.0.0.0/8")),
        "" if chain == "OUTPUT" else "{no}-i " + chance.choice(("docker0", "docker+", "br-1", "ens33", "lo")),
        "" if chain == "INPUT" else "{no}-o " + chance.choice(("docker0", "docker+", "br-1", "ens33")),
        chance.choice(
            (
                "{no}-p icmp",
                "-p tcp",
                "-p tcp -m tcp {no}--dport 80",
                "-p tcp -m tcp --dport 79:443",
                "-p udp -m udp --dport 80",
                "-p tcp -m multiport --dports 80,443",
                "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
            )
        ),
        "-m conntrack {no}--ctstate " + chance.choice(("RELATED,ESTABLISHED", "NEW", "INVALID", "ESTABLISHED")),
        "-m addrtype {no}--dst-type LOCAL",
        "-m mark --mark 0x1",
    ]
    weights = (0.25, 0.25, 0.3, 0.3, 0.35, 0.2, 0.1, 0.05)
    chosen = [piece for piece, weight in zip(pieces, weights, strict=True) if piece and chance.random() < weight]
    below = {"A": ("B",), "B": ()}.get(chain, ("A", "B"))
    verdicts = ("ACCEPT", "DROP", "RETURN", "ACCEPT", "DROP", "MARK --set-xmark 0x1/0xffffffff", *below)
    target = chance.choice(verdicts)
    verb = "-g" if target in below and chance.random() < 0.2 else "-j"
    return " ".join([piece.format(no=chance.choice(("", "", "! "))) for piece in chosen] + [f"{verb} {target}"])


def translated(came_to: tuple[str, ...] | None, facts: PacketContext) -> tuple[str, ...] | None:
    """A fate with the port that a packet keeps where it is translated to an address alone."""
    if came_to is None:
        return None
    return tuple(
        f"{word}:{facts.destination_port}" if word.startswith("DNAT ") and ":" not in word else word for word in came_to
    )


def contradicted(rules: Ruleset, mutant: Mutant, chance: random.Random, packets: int) -> int:
    """Packets that both sides decided; fails for one that they decide otherwise."""
    changed = mutant.apply(rules)
    assert changed is not None
    compared = 0
    for _ in range(packets):
        hook = chance.choice(HOOKS[mutant.table])
        facts = packet(chance, hook)
        was, is_now = (translated(fate(side.table(mutant.table), hook, facts), facts) for side in (rules, changed))
        if was is not None and is_now is not None:
            compared += 1
            assert was == is_now, (
                f"{mutant.id}: {proof(rules, mutant)}\n{mutant.replaced}\n{facts}\n{save.render(rules)}"
            )
    return compared


@pytest.mark.parametrize("seed", SEEDS)
def test_no_packet_contradicts_a_proof(seed: int) -> None:
    chance = random.Random(seed)
    rules = random_rules(chance)
    proved = [mutant for mutant in mutants(rules) if proof(rules, mutant) is not None]
    assert len(proved) > 5
    assert sum(contradicted(rules, mutant, chance, 60) for mutant in proved) > 30 * len(proved)


@pytest.mark.parametrize("rules", [article.ruleset(), engine("28").rules(article.HOST)], ids=["article", "28"])
def test_no_packet_contradicts_a_proof_about_docker(rules: Ruleset) -> None:
    chance = random.Random(1)
    proved = [mutant for mutant in mutants(rules) if proof(rules, mutant) is not None]
    assert all(contradicted(rules, mutant, chance, 100) > 30 for mutant in proved)


def test_a_wrong_proof_would_be_seen() -> None:
    """The witness is worth something: most mutants without a proof are told apart by the same packets."""
    rules, chance = article.ruleset(), random.Random(2)
    told = Counter(
        seen_by_a_packet(rules, mutant, chance) for mutant in mutants(rules) if not equivalent(rules, mutant)
    )
    assert told[True] > told[False]


def seen_by_a_packet(rules: Ruleset, mutant: Mutant, chance: random.Random) -> bool:
    try:
        contradicted(rules, mutant, chance, 300)
    except AssertionError:
        return True
    return False
