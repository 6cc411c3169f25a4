"""Chains as functions over sets of packets, held against an interpreter that takes one packet through them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from symbolic import free_context, point
from test_analysis_clauses import SYN, packets, specs

from testbed.analysis import iptables
from testbed.analysis.chains import Walk, matching
from testbed.analysis.context import Context
from testbed.analysis.rules import Verdict
from testbed.analysis.translation import translate
from testbed.errors import AnalysisError
from testbed.rules import save
from testbed.rules.clauses import clauses, target_of
from testbed.rules.matching import first_failing
from testbed.rules.packet_context import PacketContext
from testbed.rules.ruleset import Ruleset, Table

ONE_RULE = "*filter\n:FORWARD {policy} [0:0]\n:X - [0:0]\n:Y - [0:0]\n{rules}\nCOMMIT\n"


def walked(text: str) -> tuple[Walk, Context]:
    """A finished walk, and what the packets were like before it."""
    program = iptables.program(save.parse(text))
    chains = {(chain.table, chain.name): chain for chain in program.chains}
    walk = Walk(free_context(), chains, translate, matching)
    before = replace(walk.context)
    walk.base(chains["filter", "FORWARD"], walk.context.space.all)
    return walk, before


def deciding(text: str, facts: PacketContext) -> str:
    """The rule or policy that decides about a packet, with its verdict."""
    walk, before = walked(text)
    one = point(before, facts)
    found = [d for d in walk.decisions if (d.packets & one).satisfiable()]
    assert len(found) == 1, found
    return f"{found[0].verdict.name} {found[0].reference.text}"


@st.composite
def rule_sets(draw: st.DrawFn) -> str:
    lines = []
    for chain, targets in (("FORWARD", "XY"), ("X", "Y"), ("Y", "")):
        others = [*(f"-j {name}" for name in targets), *(f"-g {name}" for name in targets)]
        target = st.sampled_from(["-j ACCEPT", "-j DROP", "-j RETURN", "-j REJECT", "-j LOG", "", *others * 2])
        lines += [f"-A {chain} {draw(specs())} {draw(target)}".strip() for _ in range(draw(st.integers(0, 4)))]
    policy = draw(st.sampled_from(["ACCEPT", "DROP"]))
    return ONE_RULE.format(policy=policy, rules="\n".join(lines) or "# none")


def interpreted(table: Table, facts: PacketContext) -> str | None:
    """What a packet meets, rule by rule; None where matching.py does not know a rule's answer."""
    end = _through(table, "FORWARD", facts)
    policy = next(chain for chain in table.chains if chain.name == "FORWARD").policy
    return f"{policy} :FORWARD {policy}" if end == "" else end


def _through(table: Table, chain: str, facts: PacketContext) -> str | None:
    """The end of a packet in a chain, '' where it comes back, None where that is not known."""
    for rule in table.rules_of(chain):
        matches = first_failing(clauses(rule.spec), facts).matches
        if matches is None:
            return None
        target = target_of(rule.spec)
        if not matches or target is None or target.name == "LOG":
            continue
        if target.name == "RETURN":
            return ""
        if target.name in ("X", "Y"):
            end = _through(table, target.name, facts)
            if end != "" or target.verb == "goto":
                return end
            continue
        return f"{target.name} {rule.text}"
    return ""


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(rule_sets(), st.lists(packets(), min_size=4, max_size=4))
def test_random_chains_decide_about_random_packets_as_an_interpreter_does(text: str, many: list[PacketContext]) -> None:
    walk, before = walked(text)
    space, decisions = walk.context.space, walk.decisions
    assert space.any_of(one.packets for one in decisions) == space.all
    for place, one in enumerate(decisions):
        assert not any((one.packets & other.packets).satisfiable() for other in decisions[:place])
    for facts in many:
        expected = interpreted(save.parse(text).table("filter"), facts)
        if expected is not None:
            here = point(before, facts)
            (found,) = [d for d in decisions if (d.packets & here).satisfiable()]
            assert f"{found.verdict.name} {found.reference.text}" == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("-A FORWARD -j X\n-A X -p tcp -j ACCEPT\n-A X -j DROP", "ACCEPT -A X -p tcp -j ACCEPT"),
        ("-A FORWARD -j X\n-A X -p tcp -j RETURN\n-A FORWARD -j DROP", "DROP -A FORWARD -j DROP"),
        ("-A FORWARD -g X\n-A X -p udp -j DROP\n-A FORWARD -j DROP", "ACCEPT :FORWARD ACCEPT"),
        ("-A FORWARD -j X\n-A X -g Y\n-A X -j DROP\n-A Y -p udp\n-A FORWARD -j REJECT", "REJECT -A FORWARD -j REJECT"),
        ("-A FORWARD -p tcp\n-A FORWARD -j LOG --log-prefix x\n-A FORWARD -j DROP", "DROP -A FORWARD -j DROP"),
    ],
)
def test_the_rule_that_decides(rules: str, expected: str) -> None:
    assert deciding(ONE_RULE.format(policy="ACCEPT", rules=rules), SYN) == expected


def test_a_mark_is_read_as_a_rule_before_has_set_it() -> None:
    text = ONE_RULE.format(
        policy="ACCEPT",
        rules="-A FORWARD -p tcp -j MARK --set-xmark 0x7/0xff\n-A FORWARD -m mark --mark 0x7/0xff -j DROP",
    )
    assert deciding(text, SYN).startswith("DROP")
    assert deciding(text, replace(SYN, protocol="udp", tcp_flags=None)).startswith("ACCEPT")


@pytest.mark.parametrize(
    ("target", "mark"),
    [
        ("--set-xmark 0x1/0x1", 0x13),
        ("--set-xmark 0x0/0x2", 0x10),
        ("--set-mark 0x5", 0x5),
        ("--or-mark 0x8", 0x1A),
        ("--and-mark 0xf", 0x2),
        ("--xor-mark 0x3", 0x11),
    ],
)
def test_marks_are_set_under_a_mask(target: str, mark: int) -> None:
    rules = f"-A FORWARD -j MARK {target}\n-A FORWARD -m mark --mark {mark:#x} -j DROP"
    assert deciding(ONE_RULE.format(policy="ACCEPT", rules=rules), SYN).startswith("DROP")


@pytest.mark.parametrize(
    ("change", "ttl"), [("--ttl-set 9", 9), ("--ttl-dec 3", 60), ("--ttl-inc 250", 255), ("--ttl-dec 70", 0)]
)
def test_a_time_to_live_stays_within_its_bits(change: str, ttl: int) -> None:
    rules = f"-A FORWARD -j TTL {change}\n-A FORWARD -m ttl --ttl-eq {ttl} -j DROP"
    assert deciding(ONE_RULE.format(policy="ACCEPT", rules=rules), SYN).startswith("DROP")


def test_what_is_not_known_is_named_and_goes_on() -> None:
    walk, _ = walked(ONE_RULE.format(policy="DROP", rules="-A FORWARD -p udp -j ECN --ecn-tcp-remove"))
    assert [decision.verdict for decision in walk.decisions] == [Verdict.DROP]
    (effect,) = walk.effects
    assert (effect.text, effect.unmodelled) == ("ECN --ecn-tcp-remove", True)


def test_chains_that_go_round_are_refused() -> None:
    with pytest.raises(AnalysisError, match="entered too often"):
        walked(ONE_RULE.format(policy="DROP", rules="-A FORWARD -j X\n-A X -j Y\n-A Y -j X"))


def test_a_thousand_rules_are_walked_as_one_partition() -> None:
    rules = "\n".join(
        f"-A FORWARD -s 10.{n >> 8}.{n & 255}.0/24 -p tcp -m tcp --dport {1000 + n} -j {'ACCEPT' if n % 3 else 'DROP'}"
        for n in range(1000)
    )
    ruleset: Ruleset = save.parse(ONE_RULE.format(policy="DROP", rules=rules))
    assert sum(1 for _ in ruleset.rules) == 1000
    walk, _ = walked(ONE_RULE.format(policy="DROP", rules=rules))
    assert len(walk.decisions) == 1001
    assert walk.context.space.any_of(one.packets for one in walk.decisions) == walk.context.space.all
    assert walk.context.space.nodes < 2_000_000
