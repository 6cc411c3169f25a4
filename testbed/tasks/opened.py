"""The bed that a task asks: the one that is up, or one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from testbed import named
from testbed.bed import Testbed
from testbed.bedrecord import Record
from testbed.default_port import Place, Publishers, places
from testbed.docker import article
from testbed.docker.asker import address_in, asker
from testbed.docker.guess import Guess
from testbed.errors import TestbedError
from testbed.kernel.backends import ALL, backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.question import ICMP_
from testbed.rules import environment
from testbed.tasks.chosen import choose
from testbed.tasks.host_options import HostOptions
from testbed.tasks.options import DEFAULT_NAME
from testbed.tasks.settings import is_default
from testbed.tasks.working import working
from testbed.topology import Address
from testbed.traffic import destination


@dataclass(frozen=True, slots=True)
class OpenedBed:
    """A bed to ask, its name, what publishes ports there, and the source of its rules.

    `guesses` are what was added to the host for its rules. `remarks` are about what the rules name and the bed does
    not have, `contradictions` about ports that the host publishes and the rules lead elsewhere.
    """

    bed: Testbed
    name: str
    publishers: Publishers
    source: str
    guesses: tuple[Guess, ...] = ()
    remarks: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()

    def places(self, text: str, protocol: str, sender: str = "") -> list[Place]:
        """Return the place that `--to` names, or without it a published port in each family of the host.

        Of a node on several networks it is the address on one that the sender is on too, if any.

        Raises TestbedError where no port is published, or the text names none.
        """
        if not text:
            return places(self.publishers, self.bed.topology, protocol)
        address, port = destination.read(self._in_own_names(text, sender), self.bed.topology)
        if not port and protocol != ICMP_:
            raise TestbedError(f"{text} names no port.", f"Give one: --to {f'[{text}]' if ':' in text else text}:80.")
        return [(address, port)]

    def node_called(self, name: str) -> str:
        """Return the node that has this name, or that the Docker host knows by it; else the name itself."""
        nodes = [node.name for node in self.bed.topology.nodes]
        if name in nodes:
            return name
        return self.publishers.host.node_called(name) or self._asking(name)

    def _asking(self, text: str) -> str:
        """The node that has an address or is on a network, among those of the bed; else the text itself."""
        found = asker(self.publishers.host, text)
        if found.host != self.publishers.host:
            raise TestbedError(
                f"{self.name} has no machine with the address {text}.",
                "Take the bed down, or give --host or --rules: a bed of its own gets one.",
            )
        return found.node

    def _in_own_names(self, text: str, sender: str) -> str:
        """`NAME:PORT` with an address in place of another name; that of a network stands for its gateway."""
        name, colon, port = text.partition(":")
        if address_in(name) is not None or text.startswith("["):
            return text  # as it stands: its node may have other addresses nearer to the sender
        node = self.node_called(name)
        network = self.publishers.host.network_called(name) if node == name else None
        address = network.gateway.ip if network is not None else self._address_beside(node, sender)
        return text if address is None else f"{address}{colon}{port}"

    def _address_beside(self, name: str, sender: str) -> Address | None:
        """The address of a node, on a network of the sender's where both are on one; None where there is no node."""
        nodes = {node.name: node for node in self.bed.topology.nodes}
        if name not in nodes or not nodes[name].addresses:
            return None
        beside = [own.network for own in nodes[sender].addresses] if sender in nodes else []
        shared = [own.ip for own in nodes[name].addresses if own.network in beside]
        return shared[0] if shared else nodes[name].address

    @property
    def about(self) -> str:
        return f"{self.name}, {self.source}, {ALL[self.bed.backend.name].program}"


@contextmanager
def opened_bed(
    name: str | None,
    host: HostOptions | None,
    engine: str | None,
    rules: str | None,
    backend: str,
    sender: str = "",
) -> Iterator[OpenedBed]:
    """Open the bed of that name, or without one the default bed where it is up and nothing else is asked for.

    Else a bed of its own is made, and is gone afterwards; it has a machine with the sender's address. Raises NotUp
    where no bed of that name is up, TestbedError where a name is given with what makes another bed.
    """
    standing = _standing(name, host, engine, rules, backend)
    described = (host.host, host.project_name, host.daemon, host.env_file) if host is not None else ()
    of_the_project = all(is_default(option) for option in (*described, engine, rules))
    if standing is not None and of_the_project and backend in ("", standing.backend):
        publishers = Publishers(standing.ruleset, standing.docker_host, standing.host is not None)
        with named.attached(standing.name) as bed:
            yield OpenedBed(
                bed,
                f"the bed {standing.name}",
                publishers,
                standing.source,
                standing.fitted.guesses,
                tuple(standing.remarks),
            )
        return
    chosen = choose(host, engine, rules)
    chosen.warn()
    loaded_by = backend_for(chosen.rules, backend or chosen.backend or "nft").name
    require(loaded_by)
    on = chosen.fitted
    on_host = asker(on.host, sender).host if sender else on.host
    topology = article.topology(on_host)
    remarks = (*chosen.host.remarks, *environment.warnings(topology, [chosen.rules]))
    publishers = Publishers(chosen.rules, on_host, bool(host) or not rules)
    with ExitStack() as opened:
        with working("building the bed"):
            opened.enter_context(quarantine())
            bed = opened.enter_context(Testbed(topology, chosen.rules, loaded_by))
            opened.enter_context(bed.published_ports_open(on_host))
        yield OpenedBed(
            bed, "a bed of its own", publishers, chosen.rules.source, on.guesses, remarks, chosen.contradictions
        )


def _standing(
    name: str | None, host: HostOptions | None, engine: str | None, rules: str | None, backend: str
) -> Record | None:
    """Return the record of the bed that is meant, if it is up."""
    if name is None:
        return named.find(DEFAULT_NAME)
    record = named.require(name)
    if (host, engine, rules) != (None, None, None):
        raise TestbedError(
            f"the bed {name} has a host and rules of its own: --name goes with no --host, --engine or --rules.",
            "Leave out one or the other.",
        )
    if backend not in ("", record.backend):
        raise TestbedError(
            f"the bed {name} is up with the backend {record.backend}, not {backend}.", "Leave out --backend or --name."
        )
    return record
