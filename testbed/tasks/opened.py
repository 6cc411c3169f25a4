"""The bed that a task asks: the one that is up, or one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from testbed import named
from testbed.bed import Testbed
from testbed.docker import DockerHost, article
from testbed.kernel.backends import ALL, backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.rules import needs
from testbed.tasks.chosen import choose


@dataclass(frozen=True, slots=True)
class Opened:
    """A bed to ask, what it is called, the Docker host in it, and whose rules it has.

    `remarks` say what these name and nobody in it is.
    """

    bed: Testbed
    name: str
    host: DockerHost
    source: str
    remarks: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        return f"{self.name}, {self.source}, {ALL[self.bed.backend.name].program}"


@contextmanager
def opened_bed(name: str, host: str | None, engine: str | None, rules: str | None, backend: str) -> Iterator[Opened]:
    """The bed of that name where it is up and nothing else is asked for; else a bed of its own, gone afterwards."""
    standing = named.find(name)
    if standing is not None and (host, engine, rules) == (None, None, None) and backend in ("", standing.backend):
        with named.attached(name) as bed:
            yield Opened(bed, f"the bed {name}", standing.docker_host, standing.source, tuple(standing.remarks))
        return
    chosen = choose(host, engine, rules)
    loaded_by = backend_for(chosen.rules, backend or "nft").name
    require(loaded_by)
    topology = article.topology(chosen.host)
    remarks = tuple(needs.remarks(topology, [chosen.rules]))
    with quarantine(), Testbed(topology, chosen.rules, loaded_by) as bed:
        yield Opened(bed, "a bed of its own", chosen.host, chosen.rules.source, remarks)
