"""The stories that a page tells: the handshakes of a host, packet by packet."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.bed import Testbed
from testbed.docker import PublishedPort, article
from testbed.docker.lan import Around
from testbed.errors import TestbedError
from testbed.kernel.backends import ALL, backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.question import Question, Talk, talk
from testbed.tasks.chosen import Chosen
from testbed.tasks.host_options import HostOptions
from testbed.traced_connection import Story, follow
from testbed.traffic.tcp import WINDOWS


def stories_of(chosen: Sequence[Chosen], host: HostOptions | None, backend: str) -> list[Story]:
    """Return the handshakes of each host that was chosen; of the first, the article's, only one."""
    titles = ("The article's handshake", f"A handshake with each port of {host.short if host else 'the host'}")
    with quarantine():
        return [
            _story(one, title, backend, every_port=number > 0)
            for number, (one, title) in enumerate(zip(chosen, titles, strict=False))
        ]


def _story(chosen: Chosen, title: str, backend: str, every_port: bool) -> Story:
    loaded_by = backend_for(chosen.rules, backend).name
    require(loaded_by)
    ports = [port for _, port in chosen.host.offered()]
    if not ports:
        raise TestbedError("this host publishes no TCP port to the LAN.", "Give a service `ports`, for instance 80:80.")
    with Testbed(article.topology(chosen.host), chosen.rules, loaded_by) as bed:
        about = f"{chosen.rules.source}, {ALL[loaded_by].program}"
        packets = follow(bed, _handshakes(bed, chosen.host.around, ports if every_port else ports[:1]))
        return Story(title, about, bed.topology, bed.words(), packets)


def _handshakes(bed: Testbed, around: Around, ports: Sequence[PublishedPort]) -> Talk:
    """One after the other, each as far as it gets."""
    for port in ports:
        yield from talk(bed, Question("client", _address(around, port), port.host, packets=3), WINDOWS)


def _address(around: Around, port: PublishedPort) -> str:
    """An address at which the port is published."""
    if port.address is None or port.everywhere:
        return str(around.host_address(4 if port.in_version(4) else 6))
    return str(port.address)
