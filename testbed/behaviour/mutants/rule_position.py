"""Edits of a rule's existence and position."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.behaviour.mutants.edits import Behind, Outermost, Preceded, Rewritten, RuleEdit
from testbed.behaviour.mutants.site import Site

Made = tuple[str, RuleEdit]  # operator, edit
_OTHER_HOOKS = {"INPUT": "FORWARD", "FORWARD": "INPUT", "PREROUTING": "OUTPUT", "OUTPUT": "PREROUTING"}


def made(site: Site) -> Iterator[Made]:
    """Yield the rule removed, or in another order."""
    yield "delete", Rewritten(site.chain)
    if site.following is not None:
        yield "reorder", Behind(site.following, site.rule)
        yield "move", Outermost(site.rule, last=True)
    if not site.first:
        yield "move", Outermost(site.rule, last=False)


def made_strong(site: Site) -> Iterator[Made]:
    """Yield a RETURN before the chain's first rule; the rule in another hook's chain."""
    if site.first:
        yield "return", Preceded("-j RETURN", site.rule)
    other = _OTHER_HOOKS.get(site.chain, "")
    if other in site.wiring.chains:
        yield "hook", Rewritten(other, (site.spec,))
