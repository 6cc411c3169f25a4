"""Rule sets as values: looked at, listed, changed without changing the original."""

from __future__ import annotations

import pytest

from testbed import Ruleset
from testbed.docker import article
from testbed.errors import RulesError
from testbed.rules import save

SMALL = save.parse(
    "*filter\n:FORWARD DROP [0:0]\n:MINE - [0:0]\n-A FORWARD -j MINE\n-A MINE -j RETURN\nCOMMIT\n", "small"
)


def texts(ruleset: Ruleset, table: str = "filter") -> list[str]:
    return [rule.text for rule in ruleset.table(table).rules]


def test_a_rule_is_inserted_at_the_head_of_its_chain() -> None:
    changed = SMALL.insert("filter", "MINE", "-p tcp -j DROP")
    assert texts(changed) == ["-A FORWARD -j MINE", "-A MINE -p tcp -j DROP", "-A MINE -j RETURN"]
    assert texts(SMALL) == ["-A FORWARD -j MINE", "-A MINE -j RETURN"]


def test_a_built_in_chain_or_table_that_is_not_there_is_added() -> None:
    assert "-A INPUT -j DROP" in texts(SMALL.insert("filter", "INPUT", "-j DROP"))
    changed = SMALL.insert("raw", "PREROUTING", "-j NOTRACK")
    assert [table.name for table in changed.tables] == ["filter", "raw"]
    assert str(changed.table("raw").chains[0]) == ":PREROUTING ACCEPT"
    assert texts(changed, "raw") == ["-A PREROUTING -j NOTRACK"]


def test_the_first_rule_of_a_chain_comes_behind_the_chains_and_before_other_rules() -> None:
    empty = SMALL.delete("filter", "-A MINE -j RETURN")
    assert [str(entry) for entry in empty.insert("filter", "MINE", "-j DROP").table("filter").entries] == [
        ":FORWARD DROP [0:0]",
        ":MINE - [0:0]",
        "-A MINE -j DROP",
        "-A FORWARD -j MINE",
    ]
    assert str(SMALL.insert("filter", "INPUT", "-j DROP").table("filter").entries[0]) == ":INPUT ACCEPT"


def test_what_is_inserted_can_be_written_and_read_back() -> None:
    changed = article.ruleset().insert("mangle", "FORWARD", "-j MARK --set-mark 7").insert("nat", "DOCKER", "-j RETURN")
    assert save.parse(save.render(changed)) == changed


@pytest.mark.parametrize("table", ["filter", "nat"])
def test_a_user_defined_chain_that_is_not_there_is_refused(table: str) -> None:
    with pytest.raises(RulesError, match=r"small has no .*NONE"):
        SMALL.insert(table, "NONE", "-j DROP")


def test_a_rule_is_deleted_by_its_text() -> None:
    assert texts(SMALL.delete("filter", "-A FORWARD -j MINE")) == ["-A MINE -j RETURN"]
    with pytest.raises(RulesError, match="small has no rule -A MINE -j DROP in table filter"):
        SMALL.delete("filter", "-A MINE -j DROP")
    with pytest.raises(RulesError, match="small has no table nat"):
        SMALL.delete("nat", "-A MINE -j DROP")


def test_of_equal_rules_the_first_is_deleted() -> None:
    twice = SMALL.insert("filter", "MINE", "-p tcp").insert("filter", "MINE", "-p tcp")
    assert texts(twice.delete("filter", "-A MINE -p tcp")).count("-A MINE -p tcp") == 1


def test_the_listing_has_every_chain_and_rule_with_its_table_and_no_counters() -> None:
    assert SMALL.listing == [
        "filter :FORWARD DROP",
        "filter :MINE -",
        "filter -A FORWARD -j MINE",
        "filter -A MINE -j RETURN",
    ]


@pytest.mark.parametrize(
    ("spec", "target"),
    [
        ("-j DROP", "DROP"),
        ("-p tcp -g MINE", "MINE"),
        ("--jump DROP", "DROP"),
        ("--goto MINE", "MINE"),
        ('-m comment --comment "-j DROP" -j ACCEPT', "ACCEPT"),
        ("-p tcp", None),
    ],
)
def test_the_target_of_a_rule(spec: str, target: str | None) -> None:
    (rule,) = save.parse(f"*filter\n-A FORWARD {spec}\nCOMMIT\n").table("filter").rules
    assert rule.target == target


def test_where_a_rule_set_came_from_does_not_make_it_another() -> None:
    assert save.parse("*nat\nCOMMIT\n", "a") == save.parse("*nat\nCOMMIT\n", "b")


def test_the_rules_of_a_chain_and_of_a_table_are_looked_up() -> None:
    assert [rule.spec for rule in SMALL.table("filter").rules_of("MINE")] == ["-j RETURN"]
    assert SMALL.table("filter").rules_of("NONE") == ()
    assert [(table.name, rule.chain) for table, rule in SMALL.rules] == [("filter", "FORWARD"), ("filter", "MINE")]
    with pytest.raises(RulesError, match="small has no table mangle"):
        SMALL.table("mangle")
