"""One side of a comparison."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.rules import AnyRuleset


@dataclass(frozen=True, slots=True)
class RulesetVariant:
    """A rule set and the backend that loads it."""

    rules: AnyRuleset
    backend: str
