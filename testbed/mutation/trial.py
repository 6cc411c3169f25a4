"""Try a proposed case: it must pass on the rules and fail on the mutant. A case is data: no source is run."""

from __future__ import annotations

from testbed.behaviour.case import check
from testbed.docker import article
from testbed.errors import NotDelivered
from testbed.kernel.namespace import quarantine
from testbed.mutation.injection import Injection
from testbed.mutation.mutant_bed import MutantBed
from testbed.mutation.proposal import Proposal
from testbed.rules.ruleset import Ruleset


def notices(proposal: Proposal, changed: Ruleset, backend: str) -> bool:
    """Return whether a case passes on the rules and fails on the mutant; raise TestbedError if a bed cannot be made."""
    rules = proposal.setting.rules
    return _passes(proposal, backend, Injection()) and not _passes(
        proposal, backend, Injection(lambda loaded: changed if loaded == rules else None)
    )


def _passes(proposal: Proposal, backend: str, injection: Injection) -> bool:
    made = proposal.setting
    with quarantine(), MutantBed(article.topology(made.host), made.rules, backend, injection) as bed:
        try:
            check(bed, proposal.case)
        except (AssertionError, NotDelivered, OSError):
            return False
    return True
