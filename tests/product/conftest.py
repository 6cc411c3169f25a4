"""Tests of what a person types, each on a machine of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from own_machine import Machine, own_machine


@pytest.fixture
def machine() -> Iterator[Machine]:
    with own_machine() as made:
        yield made
