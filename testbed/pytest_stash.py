"""Keys of pytest's stash that fixtures and a campaign share: the bed factory, and the Docker hosts of a test's beds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from testbed.bed import Testbed
    from testbed.docker import DockerHost
    from testbed.rules import AnyRuleset
    from testbed.topology import Topology

# BED_FACTORY is a key of a config, HOSTS a key of an item.
BED_FACTORY: pytest.StashKey[Callable[[Topology, AnyRuleset, str], AbstractContextManager[Testbed]]] = pytest.StashKey()
HOSTS: pytest.StashKey[list[DockerHost]] = pytest.StashKey()


def no_hosts() -> list[DockerHost]:
    """Return the initial value of HOSTS, before a bed was made."""
    return []
