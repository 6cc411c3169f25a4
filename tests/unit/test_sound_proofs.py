"""Proofs say nothing where clauses count or remember, or where packets have no connection; both provers agree."""

from __future__ import annotations

import pytest
from test_limits import forward, limits

from testbed.behaviour.mutants import mutants, proof
from testbed.behaviour.mutants.edits import Policy
from testbed.rules import save
from testbed.rules.ruleset import Ruleset


def rules(*lines: str, table: str = "filter", chains: str = ":FORWARD ACCEPT [0:0]\n:X - [0:0]\n") -> Ruleset:
    return save.parse(f"*{table}\n{chains}" + "".join(f"-A {line}\n" for line in lines) + "COMMIT\n")


def test_packet_without_connection_misses_a_conntrack_clause_and_its_negation() -> None:
    found = forward(
        "FORWARD -m conntrack ! --ctorigdst 172.17.0.2 -j DROP", "FORWARD -m conntrack --ctorigdst 172.17.0.2 -j ACCEPT"
    )
    assert found.missed("filter", "FORWARD", 2) == ""
    assert found.alone("filter", "FORWARD", 2, "--ctorigdst 172.17.0.2") == ""


def test_clause_and_its_negation_still_exclude_each_other() -> None:
    found = forward("FORWARD -m conntrack --ctproto 6 -j A", "A -m conntrack ! --ctproto 6 -j DROP")
    assert "has met `--ctproto 6`" in found.matched("filter", "A", 1)


def test_packet_without_connection_meets_all_options_beside_a_state_that_is_met() -> None:
    invalid = "-m conntrack --ctstate INVALID {}--ctproto 6"
    found = forward(f"FORWARD {invalid.format('')} -j A", f"A {invalid.format('! ')} -j DROP")
    assert found.matched("filter", "A", 1) == ""
    assert found.missed("filter", "A", 1) == ""


def test_fragment_misses_a_port_and_its_negation() -> None:
    found = forward("FORWARD -p tcp -m tcp ! --dport 80 -j DROP", "FORWARD -p tcp -m tcp --dport 80 -j ACCEPT")
    assert found.missed("filter", "FORWARD", 2) == ""


def test_state_in_raw_may_change_on_the_way() -> None:
    text = "*raw\n:PREROUTING ACCEPT [0:0]\n:A - [0:0]\n-A PREROUTING -m conntrack --ctstate INVALID -j A\n"
    text += "-A A -j NOTRACK\n-A A -m conntrack --ctstate UNTRACKED -j DROP\nCOMMIT\n"
    assert limits(text).matched("raw", "A", 2) == ""


@pytest.mark.parametrize("clause", ["-m length --length 100", "-p tcp -m tcp --tcp-option 2", "-m ttl --ttl-eq 4"])
def test_what_targets_change_is_not_the_same_twice(clause: str) -> None:
    found = forward(f"FORWARD {clause} -j A", "A -j TCPMSS --set-mss 1400", f"A {clause} -j DROP")
    assert found.missed("filter", "A", 2) == ""


def test_both_provers_know_a_policy_that_a_chain_keeps_from_deciding() -> None:
    given = rules("FORWARD -j X", "X -p tcp -j ACCEPT", "X -j DROP")
    (policy,) = [mutant for mutant in mutants(given) if isinstance(mutant.edit, Policy)]
    assert limits(save.render(given)).decided_by("filter", "FORWARD") == "`-A FORWARD -j X` stands before it"
    assert (
        str(proof(given, policy))
        == "no packet comes to the policy: `-A FORWARD -j X` stands before it (by counters too)"
    )


STATEFUL = [
    "-m recent --set --name KNOCK",
    "-m recent --rcheck --name KNOCK",
    "-m limit",
    "-m limit --limit 1/hour --limit-burst 1",
    "-m hashlimit --hashlimit-upto 1/hour --hashlimit-name x",
    "-m quota --quota 100",
    "-m statistic --mode nth --every 2 --packet 0",
    "-m statistic --mode random --probability 0.5",
    "-m connlimit --connlimit-above 1",
    "-m connbytes --connbytes 1: --connbytes-dir both --connbytes-mode packets",
    "-m nosuch",
]


@pytest.mark.parametrize("clause", STATEFUL)
@pytest.mark.parametrize(
    "others", [("-j DROP", "-j ACCEPT"), ("-p tcp -j ACCEPT", "-p tcp -j DROP"), ("-j X", "-j DROP")]
)
def test_no_mutant_of_a_rule_that_keeps_state_is_proved_equivalent(clause: str, others: tuple[str, str]) -> None:
    """Wherever it stands: also where it is asked less often, or more often, because of a mutant of another rule."""
    given = rules(f"FORWARD {clause} {others[0]}", f"FORWARD {clause} {others[1]}", "X -p udp -j RETURN")
    own = [mutant for mutant in mutants(given) if mutant.rule is not None and mutant.chain == "FORWARD"]
    assert len(own) > 2
    assert [str(found) for mutant in own if (found := proof(given, mutant))] == []


@pytest.mark.parametrize("clause", STATEFUL)
def test_mutant_that_keeps_packets_from_a_rule_that_keeps_state_is_not_proved_equivalent(clause: str) -> None:
    given = rules("FORWARD -p tcp -j ACCEPT", f"FORWARD {clause} -j X", "FORWARD -j ACCEPT")
    without = rules("FORWARD -p tcp -j ACCEPT", "FORWARD -j X", "FORWARD -j ACCEPT")
    assert not proved_of_the_first_rule(given)
    assert proved_of_the_first_rule(without)


def proved_of_the_first_rule(given: Ruleset) -> list[str]:
    first = given.table("filter").rules[0]
    return [str(found) for mutant in mutants(given) if mutant.rule == first and (found := proof(given, mutant))]
