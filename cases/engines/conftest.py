"""Every engine generation in turn: the rules that it writes for a case's host, on a fresh bed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from generations import DIFFERENT

from testbed import DockerHost, Testbed
from testbed.docker import hostfile
from testbed.docker.engines import Engine
from testbed.pytest_plugin import MakeBed

BedOf = Callable[[str], Testbed]


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
