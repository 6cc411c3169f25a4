"""A matrix of a host with its rules, confirmed on a bed of its own."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.bed import Testbed
from testbed.docker import DockerHost, article
from testbed.exposure.cells import ExposureMatrix
from testbed.exposure.kernel import confirmed
from testbed.exposure.matrix import matrix
from testbed.kernel.backends import ALL, backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.rules import AnyRuleset, environment
from testbed.topology import Topology


@dataclass(frozen=True, slots=True)
class ExposureStand:
    """A host in its surroundings, with rules and the backend that loads them; `remarks` are what the bed has not."""

    host: DockerHost
    rules: AnyRuleset
    backend: str
    topology: Topology
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, host: DockerHost, rules: AnyRuleset, backend: str) -> ExposureStand:
        """Return the stand of a host; raises MissingRequirement where its backend cannot be used."""
        loaded_by = backend_for(rules, backend or "nft").name
        require(loaded_by)
        bare = article.topology(host)
        topology = environment.with_missing_bridges(bare, [rules])
        return cls(host, rules, loaded_by, topology, tuple(environment.warnings(bare, [rules])))

    @property
    def program(self) -> str:
        """Return the program that loads the rules."""
        return ALL[self.backend].program

    def proved(self) -> ExposureMatrix:
        """Return the matrix as it is proved, without packets."""
        return matrix(self.topology, self.host, self.rules)

    def confirmed(self) -> ExposureMatrix:
        """Return the matrix with its witnesses sent; raises Disagreement where the kernel does otherwise."""
        proved = self.proved()
        with quarantine(), Testbed(self.topology, self.rules, self.backend) as bed:
            return confirmed(proved, bed)
