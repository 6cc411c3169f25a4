"""The table of docs/recipes.md: what each recipe closes and leaves open, engine by engine, as the kernel does it.

`invoke docs` writes that table, recipe by recipe.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from documents import Documented
from guide import GUIDE, Tried, part, parts, with_part, without_a_recipe
from outcomes import outcomes
from recipes import RECIPES, Recipe

from testbed import Testbed
from testbed.docker import hostfile
from testbed.docker.engines import engine_or_native
from testbed.pytest_plugin import MakeBed

ENGINES = ("20.10", "26.1", "28", "29", "29-nftables")
NO_SUCH_CHAIN = "No chain/target/match by that name"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_does_what_the_guide_says(
    make_bed: MakeBed, documented: Documented, recipe: Recipe, tmp_path: Path
) -> None:
    tried = {name: on_engine(make_bed, recipe, name, tmp_path / "lock") for name in ENGINES}
    found = part(recipe, tried, without_a_recipe() if recipe is not RECIPES[0] else {})
    documented(GUIDE, lambda guide: with_part(guide, recipe, found))
    assert parts(GUIDE.read_text())[recipe.name] == found


def test_the_guide_has_all_recipes_and_no_others() -> None:
    assert list(parts(GUIDE.read_text())) == [recipe.name for recipe in RECIPES]


def on_engine(make_bed: MakeBed, recipe: Recipe, name: str, lock: Path) -> Tried:
    """Paste a recipe on a host with this engine's rules, and ask it everything."""
    host = hostfile.parse(recipe.host)
    bed = make_bed(host, rules=engine_or_native(name).rules(host))
    dockers = rules_and_policies(bed)
    refusing = [argv[0] for argv in map(shlex.split, recipe.commands) if not pasted(bed, argv, lock)]
    with bed.userland_proxy(host):
        found = outcomes(bed)
    bed.close()
    return Tried(found, tuple(dict.fromkeys(refusing)), dockers, bool(recipe.commands))


def pasted(bed: Testbed, argv: list[str], lock: Path) -> bool:
    """Whether a command is taken by the host's own iptables; nothing else may go wrong than that a chain is missing.

    iptables-legacy's lock is this test's own: its file is shared by all namespaces of a machine.
    """
    way = bed.backend.program.removeprefix("iptables-") if "iptables" in bed.backend.program else "nft"
    program = f"{argv[0]}-{way}"
    finished = bed.host.command([program, *argv[1:]], env={**os.environ, "XTABLES_LOCKFILE": str(lock)})
    assert finished.returncode == 0 or NO_SUCH_CHAIN in finished.stderr
    return finished.returncode == 0


def rules_and_policies(bed: Testbed) -> frozenset[str]:
    """What is on the host already, as a journey names it that ends there."""
    book = bed.backend.book(bed.host)
    rules = {f"{chain.table} {rule.text}" for chain in book for rule in chain.rules}
    policies = {f"{chain.table} :{chain.name} {chain.base.policy}" for chain in book if chain.base is not None}
    return frozenset(rules | policies)
