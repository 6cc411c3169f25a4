"""Behaviours under rules that send copies of packets elsewhere: what became of the packet, never of its copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed import Testbed
from testbed.behaviour.comparison import Given, compare
from testbed.behaviour.probes import Probe
from testbed.behaviour.probing import ask
from testbed.behaviour.variant import RulesetVariant
from testbed.behaviour.witness import ways
from testbed.docker import article
from testbed.kernel.namespace import quarantine
from testbed.rules import AnyRuleset, rulefile

RULES = (Path(__file__).parent.parent / "data" / "journeys" / "docker.rules").read_text()
GATEWAY, CLIENT, WEB = "192.168.66.254", "192.168.66.1", "172.17.0.2"
MANGLE = "*mangle\n:PREROUTING ACCEPT\n:FORWARD ACCEPT\n:POSTROUTING ACCEPT\n{}\nCOMMIT\n"


def silent(_: int) -> Callable[[], None]:
    return lambda: None


def rules(tee: str = "") -> AnyRuleset:
    return rulefile.parse((MANGLE.format(tee) if tee else "") + RULES, "the rules")


@pytest.mark.parametrize(
    "tee",
    [
        f"-A FORWARD -j TEE --gateway {GATEWAY}",
        f"-A FORWARD -j TEE --gateway {CLIENT}",
        f"-A FORWARD -j TEE --gateway {WEB}",
        f"-A PREROUTING -j TEE --gateway {CLIENT}",
    ],
)
def test_copies_change_no_behaviour(tee: str) -> None:
    without, copied = ask(
        article.HOST, [RulesetVariant(rules(), "nft"), RulesetVariant(rules(tee), "nft")], silent
    ).sides
    assert len(copied) > 50
    assert any(behaviour.outcome == "is dropped" for behaviour in copied)
    apart = {str(a.probe): (a.outcome, b.outcome) for a, b in zip(without, copied, strict=True) if a != b}
    assert apart == {}


def test_an_answer_to_a_copy_is_no_rejection_of_the_packet() -> None:
    teed = rules(f"-A FORWARD -j TEE --gateway {GATEWAY}")
    probe = Probe("client", "tcp", WEB, 9, direct=True)
    with quarantine(), Testbed(article.topology(), teed) as bed:
        (way,) = ways(bed, [probe]).values()
    assert way.question is not None
    assert str(way.question.end) == "dropped at host: filter :FORWARD DROP"
    assert way.question.answers == ()
    (copy,) = way.question.copies
    assert str(copy.end) == f"lost at gateway: there is no route to {WEB}"


def test_copies_that_come_back_to_the_host_leave_a_probe_not_judged() -> None:
    looped = rules(f"-A PREROUTING -j TEE --gateway {GATEWAY}")
    without, copied = ask(article.HOST, [RulesetVariant(rules(), "nft"), RulesetVariant(looped, "nft")], silent).sides
    apart = [b for a, b in zip(without, copied, strict=True) if (a.outcome, a.by) != (b.outcome, b.by)]
    assert len(apart) > 20
    assert {b.outcome for b in apart} == {"is not judged: copies that a rule sent came back to the host"}


def test_a_comparison_names_the_probes_that_copies_leave_not_judged() -> None:
    tee = f"-A PREROUTING -j TEE --gateway {GATEWAY}"
    sides = [RulesetVariant(rules(tee), "nft"), RulesetVariant(rules(f"{tee}\n-A FORWARD -j RETURN"), "nft")]
    found = compare(article.HOST, True, [Given(side) for side in sides], silent)
    assert found.found == ()
    assert any("probes are not judged" in sentence for sentence in found.sentences)
