"""The engine generations that these cases run on."""

from __future__ import annotations

from testbed.docker.engines import ENGINES

SAME_HERE = ("23.0", "24.0.6", "25.0.0", "25.0.4", "28.0.2")  # write a neighbour's rules for all that these cases ask
DIFFERENT = [known for known in ENGINES if known.name not in SAME_HERE]
