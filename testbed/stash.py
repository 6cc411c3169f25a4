"""What the fixtures and a campaign tell each other through pytest's stash: who makes beds, and for which hosts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from testbed.bed import Testbed
from testbed.docker import DockerHost
from testbed.rules import AnyRuleset
from testbed.topology import Topology

MAKING = pytest.StashKey[Callable[[Topology, AnyRuleset, str], AbstractContextManager[Testbed]]]()  # of a config
HOSTS = pytest.StashKey[list[DockerHost]]()  # of an item: the Docker hosts for which its beds were made


def no_hosts() -> list[DockerHost]:
    """For HOSTS, before a bed was made."""
    return []
