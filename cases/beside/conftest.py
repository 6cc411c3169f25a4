"""Other programs' rules beside Docker's, as they stood on hosts (tests/data/foreign), and what packets met there."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import BedOf

from testbed import Testbed
from testbed.pytest_plugin import MakeBed
from testbed.rules import Ruleset, rulefile

FOREIGN = Path(__file__).parents[2] / "tests" / "data" / "foreign"


@pytest.fixture
def bed_of(make_bed: MakeBed) -> BedOf:
    """A bed with a stored rule set, into which rules (chain of filter, words) were inserted by `iptables -I`."""

    def make(name: str, *inserted: tuple[str, str]) -> Testbed:
        rules = rulefile.read(FOREIGN / name)
        for chain, spec in inserted:
            assert isinstance(rules, Ruleset)
            rules = rules.insert("filter", chain, spec)
        return make_bed(rules=rules)

    return make
