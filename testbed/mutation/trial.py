"""Try a proposed case: it must pass on the rules and fail on the mutant. A case is data: no source is run."""

from __future__ import annotations

from testbed.bed import Testbed
from testbed.behaviour.case import check
from testbed.docker import article
from testbed.errors import NotDelivered
from testbed.kernel.namespace import quarantine
from testbed.mutation.proposal import Proposal
from testbed.observe import mutation_injection
from testbed.rules.ruleset import Ruleset


def notices(proposal: Proposal, changed: Ruleset, backend: str) -> bool:
    """Return whether a case passes on the rules and fails on the mutant; raise TestbedError if a bed cannot be made."""
    if not _passes(proposal, backend):
        return False
    rules = proposal.setting.rules
    with mutation_injection.changed(lambda loaded: changed if loaded == rules else None):
        return not _passes(proposal, backend)


def _passes(proposal: Proposal, backend: str) -> bool:
    made = proposal.setting
    with quarantine(), Testbed(article.topology(made.host), made.rules, backend) as bed:
        try:
            check(bed, proposal.case)
        except (AssertionError, NotDelivered, OSError):
            return False
    return True
