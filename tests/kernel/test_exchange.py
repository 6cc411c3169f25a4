"""A bed that loads other rules than it is given, and what a case is told of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed import Testbed
from testbed.behaviour.mutants import Mutant, mutants
from testbed.docker import article
from testbed.errors import RulesError
from testbed.kernel.namespace import quarantine
from testbed.kernel.xtables import BACKENDS
from testbed.observe import mutation_injection
from testbed.rules import AnyRuleset
from testbed.rules.ruleset import Ruleset

PUBLISHED = ("192.168.66.100", 80)
ACCEPT = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"


@pytest.fixture(autouse=True)
def _apart() -> Iterator[None]:
    with quarantine():
        yield


def mutant(operator: str, rule: str) -> Mutant:
    return next(m for m in mutants(article.ruleset()) if m.operator == operator and m.rule and m.rule.text == rule)


def applied(one: Mutant) -> mutation_injection.Change:
    def change(rules: AnyRuleset) -> AnyRuleset | None:
        return one.apply(rules) if isinstance(rules, Ruleset) else None

    return change


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mutant_is_loaded_and_seen_under_the_names_of_the_rules(backend: str) -> None:
    with mutation_injection.changed(applied(mutant("negate", ACCEPT))), Testbed.article(backend=backend) as bed:
        with bed.tracing() as tracing, bed.counting() as counting:
            syn = bed.tcp("client", "web", PUBLISHED).syn()
        journey = tracing.journey(syn)
        assert not syn.delivered
        assert counting.result.rule("filter", ACCEPT).packets == 0
        assert counting.result.rule("filter", ":FORWARD DROP").packets == 1
        assert ACCEPT in [rule.text for _, rule in journey.missed]
        assert ACCEPT in [rule.text for _, rule in bed.ruleset().rules]
        assert ACCEPT in [rule.text for _, rule in bed.words().rules]


def test_only_the_rules_that_are_meant_are_exchanged_and_only_for_a_while() -> None:
    with mutation_injection.changed(lambda _: None), Testbed.article() as bed:
        assert bed.tcp("client", "web", PUBLISHED).syn().delivered
    with mutation_injection.changed(applied(mutant("delete", ACCEPT))):
        pass
    with Testbed.article() as bed:
        assert bed.tcp("client", "web", PUBLISHED).syn().delivered
        with mutation_injection.changed(applied(mutant("delete", ACCEPT))):
            bed.load(article.ruleset())
        assert not bed.tcp("client", "web", PUBLISHED).syn().delivered


def test_a_case_can_be_told_what_it_was_told_before() -> None:
    """The counters always, a journey where the packet came out as it did."""

    def case() -> tuple[str, bool, str]:
        with Testbed.article() as bed:
            with bed.tracing() as tracing, bed.counting() as counting:
                syn = bed.tcp("client", "web", PUBLISHED).syn()
            return str(counting.result.moved), syn.delivered, str(tracing.journey(syn).way)

    with mutation_injection.noting() as seen:
        before = case()
    assert seen.readings
    assert len(seen.journeys) == 1
    returned = mutant("delete", "-A DOCKER-USER -j RETURN")
    with mutation_injection.changed(applied(returned)):
        assert case() != before
        with mutation_injection.telling(seen):
            assert case() == before
    with mutation_injection.changed(applied(mutant("delete", ACCEPT))), mutation_injection.telling(seen):
        counted, delivered, way = case()
    assert (counted, delivered) == (before[0], False)
    assert way != before[2]


def test_a_mutant_that_is_refused_is_known_to_be() -> None:
    def refused(rules: AnyRuleset) -> AnyRuleset | None:
        return rules.insert("filter", "FORWARD", "-p tcp --dport 99999 -j DROP") if isinstance(rules, Ruleset) else None

    with mutation_injection.changed(refused):
        with pytest.raises(RulesError):
            Testbed.article().close()
        assert "99999" in mutation_injection.refusal()
    with mutation_injection.changed(lambda _: None):
        assert mutation_injection.refusal() == ""
