"""Mistakes in what a rule does with a packet: another verdict, another chain, another translation."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.regress.mutants import surgery
from testbed.regress.mutants.edits import Rewritten
from testbed.regress.mutants.site import Site
from testbed.regress.mutants.speaking import decided
from testbed.rules.clauses import Target

Made = tuple[str, Rewritten, str]
_FLIPS = {"ACCEPT": ("DROP",), "DROP": ("ACCEPT", "RETURN"), "REJECT": ("DROP", "ACCEPT"), "RETURN": ("ACCEPT", "DROP")}


def made(site: Site) -> Iterator[Made]:
    """Every mistake in a target that is made by default."""
    target = site.target
    if target is not None:
        yield from _verdicts(site, target)


def _verdicts(site: Site, target: Target) -> Iterator[Made]:
    for verdict in _FLIPS.get(target.name, ()):
        yield "verdict", _with(site, target, verdict), decided(site, verdict)


def _with(site: Site, target: Target, text: str) -> Rewritten:
    return Rewritten(site.chain, (surgery.with_target(site.spec, target, text),))
