"""A bed that loads a mutant in place of its rules: what a case sees of it, and what it is shown from another run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from testbed import Testbed
from testbed.bed_events import observing
from testbed.behaviour.mutants import Mutant, mutants
from testbed.docker import article
from testbed.errors import RulesError
from testbed.kernel.namespace import quarantine
from testbed.kernel.xtables import BACKENDS
from testbed.mutation.injection import Change, Injection, Observations, Replay
from testbed.mutation.mutant_bed import MutantBed, injected
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


def applied(one: Mutant) -> Change:
    def change(rules: AnyRuleset) -> AnyRuleset | None:
        return one.apply(rules) if isinstance(rules, Ruleset) else None

    return change


def bed_of(injection: Injection, backend: str = "nft") -> MutantBed:
    return MutantBed(article.topology(), article.ruleset(), backend, injection)


@pytest.mark.parametrize("backend", BACKENDS)
def test_loaded_mutant_is_seen_under_the_names_of_the_rules(backend: str) -> None:
    with bed_of(Injection(applied(mutant("negate", ACCEPT))), backend) as bed:
        with bed.tracing() as tracing, bed.counting() as counting:
            syn = bed.connect("client", PUBLISHED).syn
        journey = tracing.journey(syn)
        assert not syn.delivered
        assert counting.result.rule("filter", ACCEPT).packets == 0
        assert counting.result.rule("filter", ":FORWARD DROP").packets == 1
        assert ACCEPT in [rule.text for _, rule in journey.missed]
        assert ACCEPT in [rule.text for _, rule in bed.ruleset().rules]
        assert ACCEPT in [rule.text for _, rule in bed.words().rules]
        assert bed.loaded == article.ruleset()


def test_only_the_rules_of_the_mutant_are_changed() -> None:
    with bed_of(Injection(lambda _: None)) as bed:
        assert bed.connect("client", PUBLISHED).syn.delivered_to == "web"
    injection = Injection(lambda rules: applied(mutant("delete", ACCEPT))(rules) if rules != other else None)
    other = article.ruleset().insert("filter", "INPUT", "-j ACCEPT")
    with MutantBed(article.topology(), other, injection=injection) as bed:
        assert bed.connect("client", PUBLISHED).syn.delivered_to == "web"
        bed.load(article.ruleset())
        assert not bed.connect("client", PUBLISHED).syn.delivered
        assert ACCEPT in [rule.text for _, rule in bed.words().rules]
        bed.load(other)
        assert bed.connect("client", PUBLISHED).syn.delivered_to == "web"


def test_observations_of_another_run_can_be_replayed() -> None:
    """The counters always, a journey if the packet has the same outcome."""

    def case(injection: Injection) -> tuple[str, bool, str]:
        with injected(injection), bed_of(injection) as bed:
            with bed.tracing() as tracing, bed.counting() as counting:
                syn = bed.connect("client", PUBLISHED).syn
            return str(counting.result.moved), syn.delivered, str(tracing.journey(syn).way)

    plain = Injection()
    before, seen = case(plain), plain.seen
    assert seen.readings
    assert len(seen.journeys) == 1
    assert [result.delivered for result in seen.results] == [True]
    returned = applied(mutant("delete", "-A DOCKER-USER -j RETURN"))
    assert case(Injection(returned)) != before
    assert case(Injection(returned, Replay(seen))) == before
    counted, delivered, way = case(Injection(applied(mutant("delete", ACCEPT)), Replay(seen)))
    assert (counted, delivered) == (before[0], False)
    assert way != before[2]


def test_refused_mutant_is_noted() -> None:
    def refused(rules: AnyRuleset) -> AnyRuleset | None:
        return rules.insert("filter", "FORWARD", "-p tcp --dport 99999 -j DROP") if isinstance(rules, Ruleset) else None

    injection = Injection(refused)
    with pytest.raises(RulesError):
        bed_of(injection).close()
    assert "99999" in injection.refusal


def test_refused_rules_of_the_case_are_no_refusal_of_the_mutant() -> None:
    injection = Injection(lambda _: None)
    with bed_of(injection) as bed, pytest.raises(RulesError):
        bed.load(article.ruleset().insert("filter", "FORWARD", "-p tcp --dport 99999 -j DROP"))
    assert injection.refusal == ""


@pytest.mark.parametrize(
    ("make", "bypassed"),
    [(lambda _: Testbed.article(), "the article's rule set"), (bed_of, "")],
    ids=["by itself", "by the fixture"],
)
def test_bed_that_loads_no_mutant_is_noted(make: Callable[[Injection], Testbed], bypassed: str) -> None:
    injection = Injection(applied(mutant("delete", ACCEPT)))
    with injected(injection), make(injection):
        assert injection.bypassed == bypassed


def test_bed_notifies_its_own_observers_or_those_of_the_block() -> None:
    own, around = Observations(), Observations()
    with observing(around):
        with Testbed.article(observers=(own,)) as bed:
            bed.connect("client", PUBLISHED)
        with Testbed.article() as bed:
            bed.counters()
    with Testbed.article() as bed:
        bed.counters()
    assert [result.delivered for result in own.results] == [True]
    assert (len(around.results), len(around.readings)) == (0, 1)
