"""The lines in which two rule sets differ, whatever their counters, comments and spelling."""

from __future__ import annotations

import pytest

from testbed.behaviour.changed import changed, fingerprint, listed
from testbed.docker import article
from testbed.rules import AnyRuleset, NftRuleset, rulefile, save

ARTICLE = save.render(article.ruleset())
NATIVE = """table ip own {
	set bad {
		type ipv4_addr
		elements = { 192.0.2.1 }
	}

	chain forward {
		type filter hook forward priority 0; policy accept;
		ip saddr @bad counter packets 0 bytes 0 drop
		tcp dport 80 accept
	}
}
"""


def rules(*lines: str, policy: str = "ACCEPT") -> AnyRuleset:
    written = "\n".join(lines)
    return save.parse(f"*filter\n:INPUT ACCEPT\n:FORWARD {policy}\n:own -\n:left -\n{written}\nCOMMIT\n")


def texts(old: AnyRuleset, new: AnyRuleset) -> tuple[list[str], list[str]]:
    gone, added = changed(old, new)
    return [line.text for line in gone], [line.text for line in added]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-A FORWARD -i a -j DROP", "[3:180] -A FORWARD -i a -j DROP"),
        ("-A FORWARD -i a -j DROP", "-A FORWARD -i a -m comment --comment why -j DROP"),
        ("-A FORWARD ! -i a -j DROP", "-A FORWARD -i ! a -j DROP"),
        ("-A FORWARD -s 10.0.0.1/32 -j DROP", "-A FORWARD --source 10.0.0.1 -j DROP"),
        ("-A FORWARD -j DROP", "-A FORWARD -j DROP\n-A left -j ACCEPT"),
        ("-A FORWARD -j DROP", "-A FORWARD -j DROP\n-A FORWARD -i a -j ACCEPT"),
    ],
    ids=["counters", "comment", "sign", "address", "chain that no rule leads to", "behind what decides"],
)
def test_what_no_packet_notices_is_no_difference(one: str, other: str) -> None:
    assert texts(rules(one), rules(other)) == ([], [])


@pytest.mark.parametrize(
    ("one", "other", "gone", "added"),
    [
        (
            "-A FORWARD -i a -j DROP",
            "-A FORWARD -i b -j DROP",
            ["-A FORWARD -i a -j DROP"],
            ["-A FORWARD -i b -j DROP"],
        ),
        (
            "-A FORWARD -j own\n-A own -i a -j DROP",
            "-A FORWARD -j own",
            ["-A own -i a -j DROP"],
            [],
        ),
        (
            "-A FORWARD -i a -j DROP\n-A FORWARD -i b -j ACCEPT",
            "-A FORWARD -i b -j ACCEPT\n-A FORWARD -i a -j DROP",
            ["-A FORWARD -i b -j ACCEPT"],
            ["-A FORWARD -i b -j ACCEPT"],
        ),
    ],
    ids=["changed", "gone", "moved"],
)
def test_a_rule_that_differs_is_listed_on_its_side(one: str, other: str, gone: list[str], added: list[str]) -> None:
    assert texts(rules(one), rules(other)) == (gone, added)


def test_a_policy_that_differs_is_listed() -> None:
    assert texts(rules(), rules(policy="DROP")) == ([], [":FORWARD DROP"])


def test_a_line_is_listed_with_its_number_and_its_line() -> None:
    _, (line,) = changed(rules("-A FORWARD -i a -j DROP"), rules("-A FORWARD -i a -j DROP", "-A FORWARD -i b -j DROP"))
    assert (line.table, line.chain, line.number, line.line) == ("filter", "FORWARD", 2, 7)


def test_members_of_a_set_that_rules_match_are_compared() -> None:
    text = (
        "*filter\n:INPUT ACCEPT\n-A INPUT -m set --match-set bad src -j DROP\nCOMMIT\ncreate bad hash:net\nadd bad {}\n"
    )
    old, new = (rulefile.parse(text.format(member)) for member in ("10.0.0.0/8", "11.0.0.0/8"))
    assert texts(old, new) == (["add bad 10.0.0.0/8"], ["add bad 11.0.0.0/8"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tcp dport 80 accept", "tcp dport 81 accept"),
        ("elements = { 192.0.2.1 }", "elements = { 192.0.2.2 }"),
        ("policy accept;", "policy drop;"),
        ("priority 0;", "priority -10;"),
    ],
)
def test_lines_of_nftables_are_compared(old: str, new: str) -> None:
    gone, added = changed(NftRuleset(NATIVE), NftRuleset(NATIVE.replace(old, new)))
    assert [old in line.text for line in gone] == [new in line.text for line in added] == [True]


def test_counters_and_comments_of_nftables_are_not_compared() -> None:
    other = NATIVE.replace("packets 0 bytes 0", "packets 7 bytes 420").replace("80 accept", '80 accept comment "web"')
    assert changed(NftRuleset(NATIVE), NftRuleset(other)) == ([], [])


def test_the_fingerprint_is_of_what_matters() -> None:
    counted = rulefile.parse(ARTICLE.replace("[0:0]", "[7:420]"))
    other = rulefile.parse(ARTICLE.replace("--dport 80 -j ACCEPT", "--dport 81 -j ACCEPT"))
    assert fingerprint(counted) == fingerprint(article.ruleset())
    assert fingerprint(other) != fingerprint(article.ruleset())


def test_every_rule_of_the_article_is_listed() -> None:
    assert sum(line.number is not None for line in listed(article.ruleset())) == 18
