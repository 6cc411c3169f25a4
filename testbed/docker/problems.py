"""What is wrong with a description, collected so that all of it is reported at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from testbed.errors import TopologyError


class Problems:
    """The errors found so far."""

    def __init__(self) -> None:
        self._found: dict[str, TopologyError] = {}

    def add(self, error: TopologyError) -> None:
        """Keep an error; one that is known already is kept once."""
        self._found.setdefault(error.what, error)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep the error that ends the block, and go on behind it."""
        try:
            yield
        except TopologyError as error:
            self.add(error)

    def raise_all(self) -> None:
        """Raise one TopologyError that says everything, where anything was found."""
        found = list(self._found.values())
        if len(found) == 1:
            raise found[0]
        if found:
            lines = (f"  {error.what} {error.remedy or ''}".rstrip() for error in found)
            raise TopologyError("\n".join([f"{len(found)} things are wrong:", *lines]), "Correct them.")
