"""Who loads which rule set: iptables in one of its two ways, or nftables."""

from __future__ import annotations

from typing import Any

from testbed.errors import RulesError
from testbed.kernel import xtables
from testbed.kernel.loading import Backend
from testbed.kernel.nftables import NFTABLES
from testbed.rules.nft import AnyRuleset, NftRuleset

ALL: dict[str, Backend[Any]] = {**xtables.BACKENDS, NFTABLES.name: NFTABLES}


def backend_for(ruleset: AnyRuleset, backend: str) -> Backend[Any]:
    """What loads a rule set: nft one in nftables' syntax, whatever backend is named; else iptables' way of that name.

    RulesError for iptables text that nftables is to load, TestbedError for a backend that does not exist.
    """
    if isinstance(ruleset, NftRuleset):
        return NFTABLES
    if backend == NFTABLES.name:
        raise RulesError(
            f"{ruleset.source} is iptables' text, which nftables does not load.",
            f"Load it with {' or '.join(xtables.BACKENDS)}, or give rules in the syntax of `nft list ruleset`.",
        )
    return xtables.backend(backend)
