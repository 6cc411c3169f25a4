"""Every engine generation in turn: the rules that it writes for a case's host, on a fresh bed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from testbed import DockerHost, Testbed
from testbed.docker import hostfile
from testbed.docker.engines import ENGINES, Engine
from testbed.pytest_plugin import MakeBed

BedOf = Callable[[str], Testbed]
SAME_HERE = ("23.0", "24.0.6", "25.0.0", "25.0.4", "28.0.2")  # write a neighbour's rules for all that these cases ask
DIFFERENT = [known for known in ENGINES if known.name not in SAME_HERE]


@pytest.fixture(params=DIFFERENT, ids=lambda known: known.name)
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param


@pytest.fixture
def bed_of(make_bed: MakeBed, engine: Engine) -> BedOf:
    """A bed with the host that a docker.yaml text describes, and this engine's rules for it."""

    def make(text: str) -> Testbed:
        host: DockerHost = hostfile.parse(text)
        return make_bed(engine.built(host), rules=engine.rules(host))

    return make
