"""What the fixtures and a campaign tell each other through pytest's stash: who makes beds, and for which hosts."""

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

# Of a config: what makes a bed. Of an item: the Docker hosts for which its beds were made.
BED_FACTORY: pytest.StashKey[Callable[[Topology, AnyRuleset, str], AbstractContextManager[Testbed]]] = pytest.StashKey()
HOSTS: pytest.StashKey[list[DockerHost]] = pytest.StashKey()


def no_hosts() -> list[DockerHost]:
    """For HOSTS, before a bed was made."""
    return []
