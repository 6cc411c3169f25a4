"""Mistakes in whether and where a rule stands."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.regress.mutants.edits import Behind, Outermost, Rewritten, RuleEdit
from testbed.regress.mutants.site import Site
from testbed.regress.mutants.speaking import deleted

Made = tuple[str, RuleEdit, str]


def made(site: Site) -> Iterator[Made]:
    """The rule gone, or in another order."""
    yield "delete", Rewritten(site.chain), deleted(site)
    if site.following is not None:
        sentence = f"`{site.following.text}` is asked before `{site.rule.text}`"
        yield "reorder", Behind(site.following, site.rule), sentence
        yield "move", Outermost(site.rule, last=True), f"`{site.rule.text}` is asked last in {site.chain}"
    if not site.first:
        yield "move", Outermost(site.rule, last=False), f"`{site.rule.text}` is asked first in {site.chain}"
