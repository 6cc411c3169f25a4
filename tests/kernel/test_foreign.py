"""Rule sets that other programs wrote beside Docker (tests/data/foreign): loaded, asked, and compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.docker import article
from testbed.regress import table
from testbed.regress.campaign import Side, ask
from testbed.regress.table import Row
from testbed.rules import AnyRuleset, NftRuleset, rulefile

FOREIGN = Path(__file__).parent.parent / "data" / "foreign"
STORED = sorted(path.name for path in FOREIGN.iterdir() if path.suffix in (".rules", ".nft"))
HOST, WEB = "192.168.66.100", "172.17.0.2"


def silent(_: int) -> Callable[[], None]:
    return lambda: None


def foreign(name: str) -> AnyRuleset:
    return rulefile.read(FOREIGN / name)


def tables(*sides: Side) -> list[dict[str, Row]]:
    """What each side answered, by probe."""
    answers = ask(article.HOST, sides, silent)
    return [{row.probe: row for row in table.rows(side)} for side in answers.sides]


def test_there_are_rule_sets_of_every_program() -> None:
    programs = {name.split("-")[0] for name in STORED}
    assert programs == {"ufw", "firewalld", "fail2ban", "libvirt", "kube"}


@pytest.mark.parametrize("name", STORED)
def test_a_foreign_rule_set_is_loaded_and_answers_every_probe(name: str) -> None:
    """By both of iptables' ways, which behave the same; its header says where it comes from."""
    rules = foreign(name)
    backends = ("nft",) if isinstance(rules, NftRuleset) else ("nft", "legacy")
    first, *others = tables(*(Side(rules, backend) for backend in backends))
    assert len(first) > 100
    assert any(row.outcome.startswith("reaches host itself") for row in first.values())
    assert all(other == first for other in others)
    assert (FOREIGN / name).read_text().startswith("# ")
