"""Rules loaded by either of iptables' ways, and complaints in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from testbed import Testbed
from testbed.docker import article
from testbed.errors import MissingRequirement, RulesError
from testbed.pytest_plugin import MakeBed
from testbed.rules import save

ARTICLE = save.render(article.ruleset())


def edited(old: str, new: str) -> str:
    assert old in ARTICLE
    return ARTICLE.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (edited("--ctstate RELATED", "--ctstat RELATED"), r"my\.rules, line 13: .*--ctstat RELATED.*unknown option"),
        (edited("-m addrtype", "-m adrtype"), r"my\.rules, line 30: .*-m adrtype.*adrtype"),
        (edited("--dport 80 -j ACCEPT", "--dport eighty -j ACCEPT"), r"my\.rules, line 17: .*eighty"),
        (edited("-j DOCKER-USER", "-j DOCKER-USR"), r"my\.rules.*DOCKER-USR"),
        (edited("*filter", "*filtr"), r"my\.rules.*filtr"),
    ],
    ids=["option", "match", "port", "chain", "table"],
)
def test_a_typo_is_reported_with_file_line_and_iptables_own_complaint(
    article_bed: Testbed, text: str, said: str
) -> None:
    before = _lines(article_bed)
    with pytest.raises(RulesError, match=said):
        article_bed.load(save.parse(text, "my.rules"))
    assert _lines(article_bed) == before


def _lines(bed: Testbed) -> list[str]:
    return [rule.text for _, rule in bed.ruleset().rules]


def test_a_rule_set_without_tables_is_refused(article_bed: Testbed) -> None:
    with pytest.raises(RulesError, match="has no table"):
        article_bed.load(save.parse("# nothing\n", "empty.rules"))


def test_a_missing_program_is_named(article_bed: Testbed) -> None:
    with pytest.raises(MissingRequirement, match=r"no-such-program is not installed[\s\S]*invoke doctor --fix"):
        article_bed.host.command(["no-such-program", "--version"])


CAPTURES = Path(__file__).parent.parent / "data" / "captures"
CAPTURED = sorted(path.relative_to(CAPTURES) for path in CAPTURES.glob("*/*/iptables-save.txt"))


def test_there_are_captures_to_load() -> None:
    assert len(CAPTURED) >= 30


@pytest.mark.parametrize("captured", CAPTURED, ids=lambda path: str(path.parent))
def test_what_a_real_engine_installed_loads_and_comes_back_the_same(make_bed: MakeBed, captured: Path) -> None:
    ruleset = save.read(CAPTURES / captured)
    bed = make_bed(rules=ruleset)
    loaded = {table.name: [rule.text for rule in table.rules] for table in ruleset.tables}
    assert {table.name: [r.text for r in table.rules] for table in bed.ruleset().tables if table.rules} == {
        name: rules for name, rules in loaded.items() if rules
    }


SETS = replace(
    save.parse("*filter\n-A FORWARD -m set --match-set mine dst -j DROP\nCOMMIT\n", "my.rules"),
    sets="create mine hash:net\nadd mine 172.17.0.0/16\n",
)


def test_sets_are_made_before_the_rules_that_match_them(make_bed: MakeBed) -> None:
    bed = make_bed(rules=SETS)
    bed.load(SETS)  # the set is there already
    with bed.counting() as counting:
        assert not bed.tcp("client", "web", ("172.17.0.2", 80), via="192.168.66.100").syn().delivered
    assert str(counting.result.rule("filter", "-A FORWARD -m set --match-set mine dst -j DROP")) == "[1:52]"


def test_sets_that_cannot_be_are_reported(make_bed: MakeBed) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"the sets of my\.rules are refused: .*line 1.*hash:nothing"):
        make_bed(rules=replace(SETS, sets="create mine hash:nothing\n"))
    with pytest.raises(pytest.fail.Exception, match=r"my\.rules, line 2: .*mine"):
        make_bed(rules=replace(SETS, sets=""))
