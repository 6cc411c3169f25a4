"""What the kernel calls rules, asked for once a process.

The same text loaded into the same kernel comes back the same.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from testbed.kernel.counts import Counts
from testbed.kernel.loading import Backend
from testbed.kernel.namespace import Namespace
from testbed.rules import AnyRuleset
from testbed.rules.ruleset import Ruleset

_KEPT = 256
_HELD: dict[tuple[str, AnyRuleset, Hashable], Ruleset] = {}
_ELSEWHERE: dict[tuple[str, AnyRuleset], Ruleset] = {}


def words(backend: Backend[Any], namespace: Namespace, loaded: AnyRuleset, counts: Counts) -> Ruleset:
    """The kernel's words for the rules that a namespace holds now, into which `loaded` was loaded last."""
    key = backend.name, loaded, counts.identity
    if key not in _HELD:
        _forget(_HELD)
        _HELD[key] = backend.words(namespace, counts)
    return _HELD[key]


def words_of(backend: Backend[Any], ruleset: AnyRuleset) -> Ruleset:
    """The kernel's words for a rule set that is loaded nowhere; raises what loading raises."""
    key = backend.name, ruleset
    if key not in _ELSEWHERE:
        _forget(_ELSEWHERE)
        elsewhere = Namespace.create("elsewhere")
        try:
            backend.load(elsewhere, ruleset)
            _ELSEWHERE[key] = backend.words(elsewhere, elsewhere.run(backend.open_counters)())
        finally:
            elsewhere.close()
    return _ELSEWHERE[key]


def _forget(kept: dict[Any, Any]) -> None:
    if len(kept) >= _KEPT:
        kept.clear()
