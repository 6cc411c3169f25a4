"""What a case that fails has noticed, by what it was told with the mistake and without; no kernel is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.behaviour.mutants import mutants
from testbed.docker import article
from testbed.mutation.injection import Observations
from testbed.mutation.judge import CaseRun, MutantJudge
from testbed.mutation.outcome import BEHAVIOUR, COUNTERS, ERROR, KILLED, SURVIVED, MutantResult
from testbed.mutation.plan import Plan, Task
from testbed.observe.packet_result import PacketResult
from testbed.rules.counters import Counters
from testbed.rules.reading import CounterLine, CounterReading
from testbed.traffic.endpoint import Arrival
from testbed.traffic.packet import Packet

RULES = article.ruleset()
MUTANT = mutants(RULES)[0]
SYN = Packet("192.168.66.1", "192.168.66.100", "tcp", identification=2, ttl=128, length=52, destination_port=80)
ARRIVED = replace(SYN, destination="172.17.0.2", ttl=127)
TRANSLATED = PacketResult("client", SYN, Arrival("web", "eth0", ARRIVED))
LOST = PacketResult("client", SYN, None)
FAILED = "E   assert False"


def told(counted: int = 1, *sent: PacketResult) -> Observations:
    return Observations(
        [CounterReading({CounterLine("filter", ":FORWARD DROP"): Counters(counted, 52)})], [], list(sent)
    )


def judged(*runs: CaseRun) -> tuple[MutantResult, int]:
    """What becomes of a mutant whose case runs so, one run after the other, and how many of them there were."""
    left = list(runs)
    judge = MutantJudge(lambda *_: left.pop(0), Plan(RULES), article.HOST)
    outcome = judge.outcome(MUTANT, RULES, Task(MUTANT.id, ("case",)))
    return outcome, len(runs) - len(left)


def test_a_packet_that_came_out_otherwise_is_behaviour_and_the_case_does_not_run_once_more() -> None:
    outcome, ran = judged(CaseRun(FAILED, told(2, LOST)), CaseRun("", told(1, TRANSLATED, TRANSLATED)))
    assert (outcome.status, outcome.how, outcome.killer, outcome.said) == (KILLED, BEHAVIOUR, "case", FAILED)
    assert ran == 2


@pytest.mark.parametrize(("blind", "how"), [(FAILED, BEHAVIOUR), ("", COUNTERS)])
def test_where_only_counters_were_others_the_case_runs_once_more_and_is_told_the_old_ones(blind: str, how: str) -> None:
    runs = CaseRun(FAILED, told(2, TRANSLATED)), CaseRun("", told(1, TRANSLATED)), CaseRun(blind, told(2, TRANSLATED))
    outcome, ran = judged(*runs)
    assert (outcome.status, outcome.how) == (KILLED, how)
    assert ran == 3


def test_a_packet_that_was_sent_with_the_mistake_alone_is_compared_with_none() -> None:
    other = PacketResult("client", replace(SYN, destination_port=81), None)
    outcome, ran = judged(
        CaseRun(FAILED, told(2, other)), CaseRun("", told(1, TRANSLATED)), CaseRun("", told(2, other))
    )
    assert (outcome.how, ran) == (COUNTERS, 3)


def test_who_was_told_the_same_and_fails_has_seen_it_elsewhere() -> None:
    outcome, ran = judged(CaseRun(FAILED, told(1, TRANSLATED)), CaseRun("", told(1, TRANSLATED)))
    assert (outcome.how, ran) == (BEHAVIOUR, 2)


def test_a_case_that_fails_without_the_mistake_too_says_nothing() -> None:
    outcome, _ = judged(CaseRun(FAILED, told(2)), CaseRun(FAILED, told(1)))
    assert outcome.status == ERROR
    assert "case fails without any mutant too" in outcome.said


def test_a_case_that_passes_does_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.mutation.judge.witness", lambda *_: None)
    outcome, ran = judged(CaseRun("", told(2, LOST)))
    assert (outcome.status, outcome.how, ran) == (SURVIVED, "", 1)
