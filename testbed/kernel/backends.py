"""Choose the backend that loads a rule set: nftables, iptables-nft or iptables-legacy."""

from __future__ import annotations

from typing import Any

from testbed.errors import RulesError
from testbed.kernel import xtables
from testbed.kernel.loading import Backend
from testbed.kernel.nftables import NFTABLES
from testbed.rules.ruleset import AnyRuleset
from testbed.rules.syntax import NFTABLES as NFTABLES_SYNTAX

ALL: dict[str, Backend[Any]] = {**xtables.BACKENDS, NFTABLES.name: NFTABLES}


def backend_for(ruleset: AnyRuleset, backend: str) -> Backend[Any]:
    """Return the backend that loads a rule set.

    A rule set in nftables' syntax is always loaded by nft. Iptables text is loaded by the iptables backend `backend`.
    Raises RulesError for iptables text with the backend nftables, TestbedError for an unknown backend.
    """
    if ruleset.syntax is NFTABLES_SYNTAX:
        return NFTABLES
    if backend == NFTABLES.name:
        raise RulesError(
            f"{ruleset.source} is iptables' text, which nftables does not load.",
            f"Load it with {' or '.join(xtables.BACKENDS)}, or give rules in the syntax of `nft list ruleset`.",
        )
    return xtables.backend(backend)
