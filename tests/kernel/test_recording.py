"""Rule coverage as it is recorded: every packet of every bed, by whom it was sent, held against the counters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed import NftRuleset, Testbed
from testbed.coverage.recording import Recorder
from testbed.coverage.records import RuleRecord
from testbed.docker import article
from testbed.docker.engines import NATIVE
from testbed.kernel.namespace import quarantine
from testbed.rules.reading import CounterLine, CounterReading

PUBLISHED = ("192.168.66.100", 80)
ACCEPTED = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"
USER = ("filter", "DOCKER-USER", "-A DOCKER-USER -j RETURN")


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    with quarantine(), recorder.installed():
        yield recorder


def rules_of(recorder: Recorder) -> list[RuleRecord]:
    (one,) = recorder.coverage.rule_sets
    return list(one.rules)


def assert_counted(recorder: Recorder, counters: CounterReading) -> None:
    """Every rule was matched by as many packets as it has counted, every policy too where it counted at all."""
    assert not recorder.coverage.troubles
    rules = rules_of(recorder)
    assert sum(rule.matched for rule in rules) > 0
    for rule in rules:
        counted = dict(counters).get(CounterLine(rule.table, rule.words))
        if counted is not None and (counted.packets or not rule.is_policy):
            assert (rule.words, rule.matched) == (rule.words, counted.packets)


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_what_was_matched_is_what_was_counted(recorder: Recorder, backend: str) -> None:
    with Testbed.article(backend=backend) as bed:
        recorder.test = "one"
        bed.connect("client", PUBLISHED).handshake()
        bed.send_from_kernel("host", "icmp", ("127.0.0.1", 0))
        counters = bed.counters()
    assert_counted(recorder, counters)
    (accepted,) = [rule for rule in rules_of(recorder) if rule.text == ACCEPTED]
    assert (accepted.line, accepted.number, accepted.reached, accepted.missed) == (17, 1, 1, 0)
    assert accepted.matched_by == ("one",)
    assert {chain.name: chain.entered for chain in recorder.coverage.rule_sets[0].chains}["DOCKER-USER"] == 3


def test_packets_are_told_apart_by_who_sent_them(recorder: Recorder) -> None:
    """Also through a bed that outlives a test."""
    with Testbed.article() as bed:
        recorder.test = "first"
        bed.connect("client", PUBLISHED)
        recorder.ends("first")
        recorder.test = "second"
        bed.connect("web", ("203.0.113.10", 443))
        recorder.ends("second")
    found = recorder.coverage
    assert found.tests_reaching(*USER) == ("first", "second")
    assert found.tests_matching("filter", "DOCKER", ACCEPTED) == ("first",)
    outward = "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT"
    assert found.tests_matching("filter", "FORWARD", outward) == ("second",)


def test_a_case_that_traces_itself_is_recorded_before_meanwhile_and_after(recorder: Recorder) -> None:
    with Testbed.article() as bed:
        recorder.test = "one"
        bed.connect("client", PUBLISHED)
        with bed.tracing() as tracing:
            syn = bed.connect("client", PUBLISHED).syn
            assert ACCEPTED in tracing.journey(syn)
        bed.connect("client", PUBLISHED)
        counters = bed.counters()
    assert_counted(recorder, counters)
    (accepted,) = [rule for rule in rules_of(recorder) if rule.text == ACCEPTED]
    assert accepted.matched == 3


def test_each_rule_set_that_is_loaded_has_its_own_record(recorder: Recorder) -> None:
    with Testbed.article() as bed:
        recorder.test = "one"
        bed.connect("client", PUBLISHED)
        shut = article.ruleset().insert("filter", "DOCKER-USER", "-i ens33 -j DROP")
        bed.load(shut)
        bed.connect("client", PUBLISHED)
    before, after = recorder.coverage.rule_sets
    assert len(after.rules) == len(before.rules) + 1
    reached = [next(rule.reached for rule in one.rules if rule.key == USER) for one in (before, after)]
    assert reached == [1, 0]
    assert not recorder.coverage.troubles


def test_the_only_reason_of_each_miss_is_counted(recorder: Recorder) -> None:
    with Testbed.article() as bed:
        bed.connect("client", ("172.17.0.2", 81), via="192.168.66.100")
    (accepted,) = [rule for rule in rules_of(recorder) if rule.text == ACCEPTED]
    assert {clause.text: clause.alone for clause in accepted.clauses if clause.alone} == {"--dport 80": 1}


def test_rules_of_nftables_own_are_recorded_too(recorder: Recorder) -> None:
    rules = NATIVE.rules(article.HOST)
    with Testbed(article.topology(), rules) as bed:
        bed.connect("client", PUBLISHED).handshake()
    assert not recorder.coverage.troubles
    (one,) = recorder.coverage.rule_sets
    assert isinstance(rules, NftRuleset)
    assert one.source == rules.source
    (dnat,) = [rule for rule in one.rules if "dnat to" in rule.text]
    assert (dnat.reached, dnat.matched) == (1, 1)


def test_rules_that_are_changed_behind_its_back_make_it_useless_and_that_is_said(recorder: Recorder) -> None:
    with Testbed.article() as bed:
        recorder.test = "one"
        bed.connect("client", PUBLISHED)
        assert bed.host.command(["iptables-nft", "-I", "DOCKER-USER", "-j", "DROP"]).returncode == 0
        bed.connect("client", PUBLISHED)
    assert recorder.coverage.troubles
    assert recorder.coverage.troubles[0].startswith("one: the rules changed while packets were traced")
