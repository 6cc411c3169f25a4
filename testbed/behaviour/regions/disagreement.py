"""Write a disagreement between the analysis and the kernel to a file that reproduces it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from testbed.behaviour.regions.confirmation import Confirmed
from testbed.behaviour.variant import RulesetVariant
from testbed.errors import Disagreement
from testbed.topology import Topology


def require_agreement(sides: Sequence[RulesetVariant], topology: Topology, found: Sequence[Confirmed]) -> None:
    """Raise Disagreement if the kernel did not do to a witness what the analysis says."""
    wrong = [one for one in found if one.disagreement]
    if not wrong:
        return
    descriptor, file = tempfile.mkstemp(prefix="docker-host-testbed-disagreement-", suffix=".json")
    with os.fdopen(descriptor, "w") as opened:
        json.dump(_as_dict(sides, topology, wrong), opened, indent=2, default=str)
    raise Disagreement(
        f"the kernel contradicts the analysis: {wrong[0].disagreement}. No answer is given.",
        f"Please report it with {file}, which has both rule sets, the host and the packets.",
    )


def _as_dict(sides: Sequence[RulesetVariant], topology: Topology, wrong: Sequence[Confirmed]) -> dict[str, Any]:
    return {
        "rules": [{"backend": side.backend, "text": side.rules.text} for side in sides],
        "host": asdict(topology.node(topology.host)),
        "disagreements": [
            {
                "what": one.disagreement,
                "region": asdict(one.region),
                "journeys": [way.as_dict() for way in one.ways],
            }
            for one in wrong
        ],
    }
