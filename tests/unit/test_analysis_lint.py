"""Rules that do nothing, or undo another rule, proved over all packets."""

from __future__ import annotations

from testbed.analysis.lint import LintFinding, LintKind, lint
from testbed.docker import article
from testbed.rules import save
from testbed.rules.ruleset import Ruleset


def found(rules: Ruleset, text: str) -> list[LintFinding]:
    return [one for one in lint(rules, article.topology()).findings if text in one.rule.text]


def small(*rules: str) -> Ruleset:
    lines = "".join(f"-A INPUT {rule}\n" for rule in rules)
    return save.parse(f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n{lines}COMMIT\n")


def test_rule_behind_a_wider_one_is_shadowed_by_it() -> None:
    (one,) = found(small("-p tcp -j DROP", "-p tcp -m tcp --dport 22 -j ACCEPT"), "--dport 22")
    assert one.kind is LintKind.SHADOWED
    assert [other.text for other in one.others] == ["-A INPUT -p tcp -j DROP"]


def test_rule_that_asks_for_what_no_packet_has_is_dead() -> None:
    (one,) = found(small("-i nosuch -j DROP", "-p udp -j DROP"), "-i nosuch")
    assert (one.kind, one.proof) == (LintKind.DEAD, "no packet that enters its chain has what it asks for")


def test_rule_of_a_chain_that_no_packet_enters_is_dead() -> None:
    text = "*filter\n:INPUT ACCEPT [0:0]\n:OWN - [0:0]\n-A OWN -p tcp -j DROP\nCOMMIT\n"
    (one,) = found(save.parse(text), "-A OWN")
    assert (one.kind, one.proof) == (LintKind.DEAD, "no packet enters its chain")


def test_rule_that_the_policy_repeats_is_redundant() -> None:
    (one,) = found(small("-p udp -j ACCEPT", "-p tcp -m tcp --dport 22 -j DROP"), "-p udp")
    assert one.kind is LintKind.REDUNDANT


def test_rule_that_opens_what_a_later_one_closes_has_a_witness() -> None:
    rules = small("-p tcp -m tcp --sport 1024:65535 -j ACCEPT", "-p tcp -m tcp --dport 22 -j DROP")
    (one,) = [each for each in found(rules, "--sport") if each.kind is LintKind.OPENS]
    assert [other.text for other in one.others] == ["-A INPUT -p tcp -m tcp --dport 22 -j DROP"]
    assert one.witness is not None
    assert one.witness.first.second == 22
    assert one.witness.first.first >= 1024


def test_exception_of_a_later_rule_is_no_finding() -> None:
    rules = small("-s 192.168.66.1/32 -p tcp -m tcp --dport 22 -j ACCEPT", "-p tcp -m tcp --dport 22 -j DROP")
    assert lint(rules, article.topology()).findings == ()


def test_clause_that_is_not_read_makes_no_rule_dead() -> None:
    rules = small("-p tcp -m string --algo bm --string GET -j DROP", "-p udp -m limit --limit 1/s -j DROP")
    assert lint(rules, article.topology()).findings == ()
