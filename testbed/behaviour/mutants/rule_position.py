"""Edits of a rule's existence and position."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.behaviour.mutants.describe import deleted, named
from testbed.behaviour.mutants.edits import Behind, Outermost, Preceded, Rewritten, RuleEdit
from testbed.behaviour.mutants.site import Site

Made = tuple[str, RuleEdit, str]  # operator, edit, sentence
_OTHER_HOOKS = {"INPUT": "FORWARD", "FORWARD": "INPUT", "PREROUTING": "OUTPUT", "OUTPUT": "PREROUTING"}


def made(site: Site) -> Iterator[Made]:
    """Yield the rule removed, or in another order."""
    yield "delete", Rewritten(site.chain), deleted(site)
    if site.following is not None:
        sentence = f"in {site.chain} {named(site.following)} is asked before {named(site.rule)}"
        yield "reorder", Behind(site.following, site.rule), sentence
        yield "move", Outermost(site.rule, last=True), f"{named(site.rule)} is asked last in {site.chain}"
    if not site.first:
        yield "move", Outermost(site.rule, last=False), f"{named(site.rule)} is asked first in {site.chain}"


def made_strong(site: Site) -> Iterator[Made]:
    """Yield a RETURN before the chain's first rule; the rule in another hook's chain."""
    if site.first:
        yield "return", Preceded("-j RETURN", site.rule), f"no rule of {site.chain} is asked any more"
    other = _OTHER_HOOKS.get(site.chain, "")
    if other in site.wiring.chains:
        sentence = f"`{site.spec}` stands in {other} instead of in {site.chain}"
        yield "hook", Rewritten(other, (site.spec,)), sentence
