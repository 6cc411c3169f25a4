"""The cost of loading a mutant into a bed, compared with building a bed with it; its growth; and whole campaigns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from testbed.bed import Testbed
from testbed.behaviour.mutants import mutants
from testbed.bench.figures import Figure, Judged, Times, timed
from testbed.docker import article
from testbed.mutation import campaign
from testbed.mutation.campaign import Campaign, CampaignConfig
from testbed.mutation.journal import Journal
from testbed.mutation.outcome import EQUIVALENT
from testbed.rules.ruleset import Rule, Ruleset, Table

SIZES = (100, 300, 1000)  # rules


def figures(rounds: int) -> list[Figure]:
    """Measure a mutant loaded into an existing bed, and a bed built with it; then the same for larger rule sets."""
    with Testbed.article() as bed:
        changed = _changed(article.ruleset())
        bed.load(changed)
        swap = partial(bed.backend.replace, bed.host)
        swapped = [timed(lambda: swap(changed)) for _ in range(rounds)]
        built = [timed(lambda: Testbed.article(changed).close()) for _ in range(rounds)]
        found = [
            Figure(
                "swap a mutant",
                Times("a mutant loaded into a bed that stands", tuple(swapped)),
                Times("a bed built with it", tuple(built)),
            )
        ]
        for size in SIZES:
            rules = _of_size(size)
            larger = _changed(rules)
            loaded = [timed(partial(swap, larger)) for _ in range(rounds)]
            made = [timed(partial(mutants, rules, strong=False)) for _ in range(rounds)]
            found.append(
                Figure(
                    f"swap a mutant of {size} rules",
                    Times(f"a mutant of {size} rules loaded", tuple(loaded)),
                    Times("all mutants of these made", tuple(made)),
                )
            )
    return found


def judged(folder: Path, backends: Sequence[str]) -> Judged:
    """Run a campaign with each backend over the article's rules by a folder's cases; raise what a campaign raises."""
    wanted = CampaignConfig(article.ruleset(), cases=str(folder), strong=True)
    found = [_campaign(replace(wanted, backend=backend)) for backend in backends]
    outcomes = [mutant.outcome for one in found for mutant in one.found]
    ran = [outcome.ran for outcome in outcomes if outcome.status != EQUIVALENT]
    seconds, baseline = sum(one.seconds for one in found), sum(one.baseline for one in found)
    return Judged(len(found), len(outcomes), len(ran), sum(ran), seconds, baseline, len(os.sched_getaffinity(0)))


def _campaign(wanted: CampaignConfig) -> Campaign:
    """Run that campaign with an empty journal."""
    with TemporaryDirectory() as directory:
        return campaign.run(wanted, Journal(Path(directory) / "journal"), lambda *_: None)


def _changed(rules: Ruleset) -> Ruleset:
    """Return the first mutant that is another rule set."""
    found = (mutant.apply(rules) for mutant in mutants(rules, strong=False))
    return next(changed for changed in found if changed is not None and changed.listing != rules.listing)


def _of_size(number: int) -> Ruleset:
    """Return the article's rules extended to that number with rules for single sources, as in an allow list."""
    rules = article.ruleset()
    lacking = number - sum(1 for _ in rules.rules)
    more = tuple(Rule("DOCKER-USER", f"-s 198.18.{n // 256}.{n % 256}/32 -j RETURN") for n in range(lacking))

    def longer(table: Table) -> Table:
        return replace(table, entries=(*table.entries, *more)) if table.name == "filter" else table

    return replace(rules, entries=tuple(longer(e) if isinstance(e, Table) else e for e in rules.entries))
