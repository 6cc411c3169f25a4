"""Rules as users paste them: prompts, fences, commands, `iptables -S`; and what other programs print, refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import Ruleset
from testbed.errors import RulesError
from testbed.rules import rulefile

DATA = Path(__file__).parent.parent / "data" / "rulefiles"


def listing(name: str) -> list[str]:
    ruleset = rulefile.read(DATA / name)
    assert isinstance(ruleset, Ruleset)
    return ruleset.listing


def parsed(text: str) -> Ruleset:
    ruleset = rulefile.parse(text, "mine")
    assert isinstance(ruleset, Ruleset)
    return ruleset


def test_a_dump_between_prompts_and_fences_is_read_with_the_family_of_each_command() -> None:
    assert listing("prompt.txt") == [
        "filter :INPUT ACCEPT",
        "filter :FORWARD DROP",
        "filter :OUTPUT ACCEPT",
        "filter -A FORWARD -o docker0 -j ACCEPT",
        "ip6 filter :INPUT ACCEPT",
        "ip6 filter :FORWARD DROP",
        "ip6 filter :OUTPUT ACCEPT",
    ]


@pytest.mark.parametrize(
    "prompt",
    ["root@host:~# ", "[root@host ~]# ", "$ ", "user@host:/etc$ sudo ", "bash-5.1# ", "/ # ", "# ", "", "sudo "],
)
def test_every_form_of_a_prompt_is_left_out(prompt: str) -> None:
    text = f"{prompt}ip6tables-save\n*filter\n:INPUT DROP [0:0]\n-A INPUT -j LOG\nCOMMIT\n"
    assert [(table.name, len(table.rules)) for table in parsed(text).tables] == [("ip6 filter", 1)]


def test_a_rule_keeps_its_line_below_a_prompt() -> None:
    (rule,) = rulefile.read(DATA / "prompt.txt").tables[0].rules  # type: ignore[union-attr]
    assert rule.line == 8


def test_what_iptables_lists_with_s_is_a_table_told_by_its_policies() -> None:
    assert listing("iptables-S.txt") == [
        "filter :INPUT ACCEPT",
        "filter :FORWARD DROP",
        "filter :OUTPUT ACCEPT",
        "filter :DOCKER -",
        "filter :DOCKER-USER -",
        "filter -A FORWARD -j DOCKER-USER",
        "filter -A FORWARD -o docker0 -j DOCKER",
        "filter -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT",
        "filter -A DOCKER-USER -j RETURN",
    ]


def test_several_listings_are_told_apart_and_counters_are_read() -> None:
    text = (
        "-P INPUT ACCEPT -c 3 180\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n-A INPUT -c 1 60 -i lo -j ACCEPT\n"
        "-P PREROUTING ACCEPT\n-P INPUT ACCEPT\n-P OUTPUT ACCEPT\n-P POSTROUTING ACCEPT\n-A POSTROUTING -j MASQUERADE\n"
    )
    ruleset = parsed(text)
    assert [(table.name, [str(rule) for rule in table.rules]) for table in ruleset.tables] == [
        ("filter", ["[1:60] -A INPUT -i lo -j ACCEPT"]),
        ("nat", ["-A POSTROUTING -j MASQUERADE"]),
    ]


def test_a_command_before_a_listing_names_its_table() -> None:
    assert [
        table.name for table in parsed("# ip6tables -t nat -S DOCKER\n$ ip6tables -t mangle -S\n-P INPUT DROP\n").tables
    ] == ["ip6 mangle"]


def test_commands_are_read_as_the_rules_that_they_make() -> None:
    assert [line for line in listing("commands.sh.txt") if "-A" in line or "DROP" in line] == [
        "filter :FORWARD DROP",
        'filter -A FORWARD -m comment --comment "it is \\"first\\"" -j ACCEPT',
        "filter -A FORWARD -j DOCKER-USER",
        "ip6 filter -A INPUT -p tcp -m tcp --dport 22 -j DROP",
        "nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80",
    ]


def test_commands_keep_their_lines() -> None:
    ruleset = rulefile.read(DATA / "commands.sh.txt")
    assert isinstance(ruleset, Ruleset)
    assert [rule.line for rule in ruleset.table("filter").rules] == [6, 5]
    assert [rule.line for rule in ruleset.table("nat").rules] == [3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("iptables -I DOCKER-USER -j DROP\n", "line 1: .* no line before makes the chain DOCKER-USER"),
        ("iptables -P INPUT DROP\nfor i in 1 2; do\n", "line 2: 'for i in 1 2; do' .* no command of iptables"),
        ("iptables -A INPUT -s $LAN -j DROP\n", "line 1: .* for a shell"),
        ('iptables -A INPUT -s "$LAN" -j DROP\n', "line 1: .* for a shell"),
        ("iptables -A INPUT -j DROP; iptables -A INPUT -j LOG\n", "line 1: .* for a shell"),
        ("iptables -A INPUT -m comment --comment 'half\n", "line 1: .* a quote is not closed"),
        ("iptables -t nosuch -A INPUT -j DROP\n", "no table nosuch"),
        ("iptables -D INPUT 1\n", "no line before makes the rule"),
        ("iptables -P INPUT REJECT\n", "a policy is ACCEPT or DROP"),
        ("-A DOCKER -j RETURN\n", "do not tell which table"),
        ("iptables -A INPUT -j DROP\n*filter\nCOMMIT\n", "line 2: .* no command of iptables"),
        ("nft add table ip t\n", "line 1: .* is a command, which is not run here"),
        ("root@h:~# nft add table ip t\n", "line 1: .* is a command, which is not run here"),
    ],
)
def test_commands_whose_rules_cannot_be_known_are_named_by_line(text: str, said: str) -> None:
    with pytest.raises(RulesError, match=said) as caught:
        rulefile.parse(text, "mine")
    assert "iptables-save" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "kind", "command"),
    [
        ((DATA / "iptables-L.txt").read_text(), "iptables -L", "iptables-save"),
        ('{"nftables": [{"metainfo": {}}]}', "nft -j list ruleset", "`nft list ruleset`"),
        ("Name: bad\nType: hash:ip\n", "ipset list", "ipset save"),
        ("Status: active\n", "ufw status", "iptables-save"),
        ("public (active)\n  target: default\n", "firewall-cmd", "iptables-save"),
        ("services:\n  web: {}\n", "host file", "--host"),
        ("# Generated by ebtables-save v1.0\n*filter\n:INPUT ACCEPT\n", "ebtables-save", "ip6tables"),
        ("<html>", "HTML", "iptables-save"),
    ],
)
def test_what_another_program_prints_is_named_with_the_command_to_run(text: str, kind: str, command: str) -> None:
    with pytest.raises(RulesError) as caught:
        rulefile.parse(text, "mine")
    assert kind in caught.value.what
    assert command in caught.value.remedy
    assert caught.value.what.count("mine") == 1


def test_carriage_returns_tabs_and_spaces_at_the_end_mean_nothing() -> None:
    ruleset = rulefile.read(DATA / "other-spaces.rules")
    assert isinstance(ruleset, Ruleset)
    (rule,) = ruleset.table("filter").rules
    assert (str(rule.counters), rule.chain, rule.target) == ("[5:300]", "INPUT", "MINE")
    assert ruleset.listing[:2] == ["filter :INPUT ACCEPT", "filter :MINE -"]
