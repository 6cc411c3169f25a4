"""Mutants as values: what is made of a rule, under which identity, said in which words."""

from __future__ import annotations

from collections import Counter

import pytest

from testbed import Ruleset
from testbed.behaviour.mutants import Mutant, equivalent, mutants
from testbed.behaviour.mutants.phrases import PHRASES
from testbed.docker import article
from testbed.docker.engines import engine
from testbed.rules import save

ARTICLE = article.ruleset()
OPERATORS = {
    *(
        "delete",
        "verdict",
        "reorder",
        "move",
        "policy",
        "drop-clause",
        "negate",
        "interface",
        "port",
        "range",
        "prefix",
    ),
    *("protocol", "state", "target", "masquerade", "jump", "return", "hook", "flags", "icmp", "mark", "set", "limit"),
}


def rules(*lines: str, table: str = "filter", sets: str = "") -> Ruleset:
    parsed = save.parse("\n".join([f"*{table}", *lines, "COMMIT", ""]))
    return Ruleset(parsed.entries, parsed.source, sets)


def of(ruleset: Ruleset, *operators: str) -> list[Mutant]:
    return [mutant for mutant in mutants(ruleset) if mutant.operator in operators]


def written(ruleset: Ruleset, *operators: str) -> list[str]:
    """The first line that mutants of these operators write, without `-A CHAIN`."""
    return [mutant.replaced[0].split(" ", 2)[2] for mutant in of(ruleset, *operators)]


def shown(ruleset: Ruleset, operator: str, text: str) -> list[tuple[str, list[str]]]:
    """Title and diff of each mutant of an operator for the rule of that text."""
    found = [mutant for mutant in of(ruleset, operator) if mutant.rule is not None and mutant.rule.text == text]
    return [(mutant.title, mutant.diff) for mutant in found]


def test_the_articles_rules_have_so_many_mutants() -> None:
    assert Counter(mutant.operator for mutant in mutants(ARTICLE)) == {
        "delete": 18,
        "reorder": 9,
        "move": 18,
        "return": 9,
        "hook": 4,
        "jump": 10,
        "verdict": 13,
        "drop-clause": 25,
        "negate": 25,
        "state": 4,
        "interface": 9,
        "prefix": 12,
        "protocol": 5,
        "port": 6,
        "masquerade": 4,
        "target": 3,
        "policy": 3,
    }


def test_without_the_strong_ones_there_are_fewer_and_the_others_are_the_same() -> None:
    few, all_ = mutants(ARTICLE, strong=False), mutants(ARTICLE)
    assert len(few) == 154
    assert set(few) < set(all_)
    assert {mutant.operator for mutant in all_} - {mutant.operator for mutant in few} == {"return", "hook", "jump"}


def test_every_mutant_can_be_applied_has_an_id_of_its_own_and_a_title() -> None:
    made = mutants(ARTICLE)
    assert len({mutant.id for mutant in made}) == len(made)
    assert all(mutant.apply(ARTICLE) is not None for mutant in made)
    assert all(mutant.title.endswith(f" {mutant.table} {mutant.chain}") for mutant in made)
    assert all("\n" not in mutant.title and mutant.diff[0] == f"- {mutant.was}" for mutant in made)
    assert len({(mutant.title, *mutant.diff) for mutant in made if mutant.operator != "move"}) == 177 - 18


def test_every_operator_has_a_phrase_of_its_own() -> None:
    assert set(PHRASES) == OPERATORS
    assert len(set(PHRASES.values())) == len(PHRASES)


def test_ids_stay_when_other_rules_and_lines_move() -> None:
    more = save.parse("# a line more\n" + save.render(ARTICLE.insert("filter", "INPUT", "-i lo -j ACCEPT")))
    old, new = ({mutant.id: mutant for mutant in mutants(side)} for side in (ARTICLE, more))
    lost = {old[gone].operator for gone in set(old) - set(new)}
    assert lost <= {"interface"}, "another interface is named, so that one is replaced by another"
    line = next(mutant.rule.line for mutant in new.values() if mutant.rule is not None and mutant.operator == "delete")
    assert line > 0


def test_a_mutant_applies_to_any_rules_that_have_the_rule_and_to_no_others() -> None:
    mutant = of(ARTICLE, "delete")[-1]
    other = engine("28").rules(article.HOST)
    assert mutant.rule is not None
    changed = mutant.apply(other)
    assert changed is not None
    assert set(other.listing) - set(changed.listing) == {f"nat {mutant.rule.text}"}
    assert mutant.apply(other.delete("nat", mutant.rule.text)) is None
    assert mutant.apply(rules(":INPUT ACCEPT")) is None


def test_of_equal_rules_each_is_changed_by_itself() -> None:
    twice = rules(":INPUT ACCEPT", "-A INPUT -p tcp -j ACCEPT", "-A INPUT -j DROP", "-A INPUT -p tcp -j ACCEPT")
    first, second = (m for m in of(twice, "verdict") if m.replaced == ("-A INPUT -p tcp -j DROP",))
    assert first.id != second.id
    changed = [mutant.apply(twice) for mutant in (first, second)]
    assert [[rule.target for _, rule in side.rules] for side in changed if side is not None] == [
        ["DROP", "DROP", "ACCEPT"],
        ["ACCEPT", "DROP", "DROP"],
    ]


def test_a_policy_is_turned_only_where_it_is_what_it_was() -> None:
    (mutant,) = of(rules(":FORWARD DROP"), "policy")
    assert (mutant.rule, mutant.replaced) == (None, (":FORWARD ACCEPT",))
    assert mutant.title == "other policy of filter FORWARD"
    assert mutant.diff == ["- :FORWARD DROP", "+ :FORWARD ACCEPT"]
    assert mutant.apply(rules(":FORWARD ACCEPT")) is None
    assert of(rules(":PREROUTING ACCEPT", table="nat"), "policy") == []


EXAMPLES = [
    ("port", "-p tcp -m tcp --dport 80 -j ACCEPT", ["--dport 79", "--dport 81"]),
    ("port", "-p tcp -m multiport --dports 80,443 -j ACCEPT", ["443", "79,443", "81,443", "80", "80,442", "80,444"]),
    ("range", "-p udp -m udp --dport 500:502 -j ACCEPT", ["499:502", "501:502", "500:501", "500:503"]),
    ("range", "-m iprange --src-range 10.0.0.5-10.0.0.5 -j DROP", ["10.0.0.4-10.0.0.5", "10.0.0.5-10.0.0.6"]),
    ("prefix", "-s 10.0.0.0/8 -j DROP", ["10.0.0.0/7", "10.0.0.0/9", "11.0.0.0/8"]),
    ("prefix", "-d 10.0.0.5/32 -j DROP", ["10.0.0.4/31", "10.0.0.4/32"]),
    ("state", "-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", ["RELATED", "ESTABLISHED", "NEW", "INVALID"]),
    ("state", "-m state --state INVALID -j DROP", ["INVALID,NEW", "NEW", "ESTABLISHED"]),
    ("protocol", "-p udp -m udp --dport 53 -j ACCEPT", ["-j ACCEPT", "-p tcp -m tcp --dport 53"]),
    ("flags", "-p tcp --syn -j DROP", ["--tcp-flags FIN,SYN,RST,ACK SYN,ACK"]),
    ("flags", "-p tcp -m tcp --tcp-flags SYN,RST SYN -j DROP", ["SYN,RST NONE", "SYN,RST SYN,RST"]),
    ("icmp", "-p icmp -m icmp --icmp-type 8 -j ACCEPT", ["--icmp-type 0"]),
    ("icmp", "-p icmp -m icmp --icmp-type 3/4 -j ACCEPT", ["--icmp-type 8"]),
    ("mark", "-m mark --mark 0x1/0xff -j DROP", ["--mark 0x0/0xff", "--mark 0x1/0xff"]),
    ("mark", "-j MARK --set-xmark 0x2/0xffffffff", ["0x3/0xffffffff", "0x2/0xffff"]),
    ("set", "-m set --match-set friends src -j ACCEPT", ["friends dst"]),
    ("limit", "-m limit --limit 5/min --limit-burst 7 -j ACCEPT", ["50/min", "burst 6", "burst 8"]),
    ("verdict", "-j REJECT --reject-with icmp-port-unreachable", ["-j DROP", "-j ACCEPT"]),
    ("verdict", "-j RETURN", ["-j ACCEPT", "-j DROP"]),
    ("interface", "-i eth0 -j ACCEPT", ["-o eth0 -j ACCEPT"]),
    ("negate", "! -i eth0 -p tcp -j DROP", ["-i eth0 -p tcp", "! -i eth0 ! -p tcp"]),
    (
        "drop-clause",
        '-s 10.0.0.1/32 -m comment --comment "-m  mark" -m mark --mark 0x1 -j DROP',
        ["-m  mark", "-s 10."],
    ),
]


@pytest.mark.parametrize(("operator", "spec", "expected"), EXAMPLES)
def test_what_an_operator_makes_of_a_rule(operator: str, spec: str, expected: list[str]) -> None:
    found = written(rules(":MINE -", ":FORWARD DROP", "-A FORWARD -j MINE", f"-A MINE {spec}"), operator)
    found = [spec for spec in found if spec != "-j MINE"]
    assert len(found) == len(expected)
    assert all(part in line for part, line in zip(expected, found, strict=True)), found


def test_a_clause_goes_with_its_match_and_a_comment_stays_as_it_is() -> None:
    spec = '-m comment --comment "-m  mark" -p tcp -m mark --mark 0x1 -m tcp --dport 80 -j DROP'
    assert written(rules(":FORWARD DROP", f"-A FORWARD {spec}"), "drop-clause") == [
        '-m comment --comment "-m  mark" -p tcp -m tcp --dport 80 -j DROP',
        '-m comment --comment "-m  mark" -p tcp -m mark --mark 0x1 -j DROP',
    ]


def test_translations() -> None:
    nat = rules(
        ":PREROUTING ACCEPT",
        ":POSTROUTING ACCEPT",
        "-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5:80",
        "-A PREROUTING -p udp -j DNAT --to-destination 10.0.0.9",
        "-A POSTROUTING -o eth0 -j MASQUERADE",
        "-A POSTROUTING -o eth1 -j SNAT --to-source 203.0.113.5",
        table="nat",
    )
    assert [line.split(" ")[-1] for line in written(nat, "target")] == [
        *("10.0.0.5:81", "10.0.0.5", "10.0.0.6:80", "10.0.0.9:80"),
        *("10.0.0.10", "10.0.0.5"),
    ]
    assert written(nat, "masquerade") == [
        "-o eth0",
        "-o eth0 -j SNAT --to-source 192.0.2.1",
        "-o eth1 -j MASQUERADE",
    ]


def test_jumps_early_returns_and_other_hooks() -> None:
    wired = rules(
        ":INPUT ACCEPT", ":FORWARD DROP", ":A -", ":B -", ":C -", "-A FORWARD -j A", "-A A -j B", "-A B -p tcp -j DROP"
    )
    assert written(wired, "jump") == ["-g A", "-j B", "-g B", "-j C"]
    assert written(wired, "hook") == ["-j A"]
    assert [mutant.replaced for mutant in of(wired, "return")][1] == ("-A A -j RETURN", "-A A -j B")


def test_no_jump_leads_to_a_target_that_its_hook_does_not_know() -> None:
    nat = rules(
        ":PREROUTING ACCEPT",
        ":POSTROUTING ACCEPT",
        ":A -",
        ":B -",
        "-A PREROUTING -j A",
        "-A POSTROUTING -j B",
        "-A A -p tcp -j REDIRECT --to-ports 80",
        "-A B -j MASQUERADE",
        table="nat",
    )
    assert [mutant.replaced for mutant in of(nat, "jump")] == [("-A PREROUTING -g A",), ("-A POSTROUTING -g B",)]


def test_ipv6s_tables_are_changed_by_themselves() -> None:
    both = save.parse(
        "*filter\n:INPUT DROP\n-A INPUT -s 10.0.0.1/32 -j ACCEPT\nCOMMIT\n# Generated by ip6tables-save\n"
        "*filter\n:INPUT DROP\n-A INPUT -s fd00::1/128 -j ACCEPT\nCOMMIT\n"
    )
    six = [mutant for mutant in of(both, "prefix") if mutant.table == "ip6 filter"]
    assert [mutant.replaced for mutant in six] == [
        ("-A INPUT -s fd00::/127 -j ACCEPT",),
        ("-A INPUT -s fd00::/128 -j ACCEPT",),
    ]
    changed = six[0].apply(both)
    assert changed is not None
    assert changed.table("filter") == both.table("filter")


def test_elements_of_a_set() -> None:
    sets = "create friends hash:ip family inet\nadd friends 10.0.0.3\nadd friends 10.0.0.4\n"
    matched = rules(":INPUT DROP", "-A INPUT -m set --match-set friends src -j ACCEPT", sets=sets)
    changed = [mutant.apply(matched) for mutant in of(matched, "set")]
    assert [side.sets.split("add friends ")[1:] for side in changed if side is not None] == [
        ["10.0.0.3\n", "10.0.0.4\n"],
        ["10.0.0.4\n"],
        ["10.0.0.3\n", "10.0.0.4\n", "10.0.0.5\n"],
    ]


def test_every_operator_is_exercised_here() -> None:
    named = {operator for operator, *_ in EXAMPLES} | {mutant.operator for mutant in mutants(ARTICLE)}
    assert named == OPERATORS


ACCEPT_80 = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"
DNAT_80 = "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"
ANSWERS = "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
OUT = "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT"
HIDDEN = "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"
STAGE_1 = "-A FORWARD -j DOCKER-ISOLATION-STAGE-1"
SHOWN = [
    ("delete", "-A FORWARD -j DOCKER-USER", "rule removed from filter FORWARD", []),
    ("delete", ANSWERS, "rule removed from filter FORWARD", []),
    ("state", ANSWERS, "other connection states in filter FORWARD", [ANSWERS.replace("ISHED", "ISHED,NEW")]),
    ("delete", OUT, "rule removed from filter FORWARD", []),
    ("verdict", ACCEPT_80, "other verdict in filter DOCKER", [ACCEPT_80.replace("-j ACCEPT", "-j DROP")]),
    ("drop-clause", ACCEPT_80, "clause removed in filter DOCKER", [ACCEPT_80.replace(" -m tcp --dport 80", "")]),
    ("drop-clause", ACCEPT_80, "clause removed in filter DOCKER", [ACCEPT_80.replace(" ! -i docker0", "")]),
    ("port", DNAT_80, "other port in nat DOCKER", [DNAT_80.replace("--dport 80", "--dport 81")]),
    ("target", DNAT_80, "other translation in nat DOCKER", [DNAT_80.replace("172.17.0.2:80", "172.17.0.3:80")]),
    ("masquerade", HIDDEN, "other source translation in nat POSTROUTING", [HIDDEN.replace(" -j MASQUERADE", "")]),
    ("negate", OUT, "clause negated in filter FORWARD", [OUT.replace("! -o", "-o")]),
    ("interface", OUT, "other interface in filter FORWARD", ["-A FORWARD -o docker0 ! -i docker0 -j ACCEPT"]),
    ("protocol", DNAT_80, "other protocol in nat DOCKER", [DNAT_80.replace("tcp", "udp")]),
    (
        "reorder",
        "-A FORWARD -j DOCKER-USER",
        "rule moved behind the next one in filter FORWARD",
        [STAGE_1, "-A FORWARD -j DOCKER-USER"],
    ),
    ("return", "-A FORWARD -j DOCKER-USER", "return before the rules of filter FORWARD", ["-A FORWARD -j RETURN"]),
]


@pytest.mark.parametrize(("operator", "text", "title", "now"), SHOWN)
def test_mutant_is_shown_by_its_operator_and_its_lines(operator: str, text: str, title: str, now: list[str]) -> None:
    more = [text] if operator == "return" else []
    assert (title, [f"- {text}", *(f"+ {line}" for line in (*now, *more))]) in shown(ARTICLE, operator, text)


def test_change_of_a_set_is_shown_as_the_line_of_the_set() -> None:
    sets = "create friends hash:ip family inet\nadd friends 10.0.0.3\n"
    matched = rules(":INPUT DROP", "-A INPUT -m set --match-set friends src -j ACCEPT", sets=sets)
    turned, *of_elements = of(matched, "set")
    assert [mutant.diff for mutant in of_elements] == [["- add friends 10.0.0.3"], ["+ add friends 10.0.0.4"]]
    assert {mutant.title for mutant in (turned, *of_elements)} == {"other addresses of a set in filter INPUT"}


def test_what_is_equivalent_says_why_and_whether_counters_tell() -> None:
    own = rules(
        ":INPUT DROP",
        ":MINE -",
        ":LONELY -",
        "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
        "-A INPUT -p udp -m udp --dport 22 -j ACCEPT",
        "-A INPUT -p tcp -j DROP",
        "-A INPUT -j MINE",
        "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT",
        "-A MINE -p icmp -j RETURN",
        "-A LONELY -j ACCEPT",
    )
    proved = {(mutant.operator, mutant.chain, mutant.replaced): equivalent(own, mutant) for mutant in mutants(own)}
    first, second = "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", "-A INPUT -p udp -m udp --dport 22 -j ACCEPT"
    assert proved["reorder", "INPUT", (second, first)] == "no packet meets both rules (by counters too)"
    assert proved["verdict", "INPUT", ("-A INPUT -p tcp -m tcp --dport 80 -j DROP",)] == (
        "`-A INPUT -p tcp -j DROP` has decided all such packets before (by counters too)"
    )
    assert proved["delete", "MINE", ()] == "MINE ends there anyway (by counters too)"
    assert proved["verdict", "LONELY", ("-A LONELY -j DROP",)] == (
        "no packet comes to LONELY, because nothing leads there (by counters too)"
    )
    assert proved["verdict", "INPUT", ("-A INPUT -p tcp -j RETURN",)].endswith("dropped either way (by behaviour only)")
    assert proved["verdict", "INPUT", ("-A INPUT -p tcp -m tcp --dport 22 -j DROP",)] == ""


def test_a_mutant_that_makes_the_rules_of_another_names_it() -> None:
    two = rules(":INPUT ACCEPT", "-A INPUT -s 10.0.0.0/8 -j DROP", "-A INPUT -s 10.1.0.0/16 -j ACCEPT")
    reordered, *moved = of(two, "reorder", "move")
    assert equivalent(two, reordered) == ""
    assert [equivalent(two, mutant) for mutant in moved] == [
        f"it makes the same rules as {reordered.id}: {reordered.title}"
    ] * len(moved)
