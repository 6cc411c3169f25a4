"""Sockets whose buffers hold what an ordinary user's hold by default: nothing is lost where more comes."""

from __future__ import annotations

import socket

import pytest

from testbed.bed import Testbed
from testbed.docker import article, hostfile
from testbed.errors import KernelRefused
from testbed.kernel import linkwatch, receiving

RMEM_MAX = 212992  # net.core.rmem_max, as kernels have it
PACKETS, CONTAINERS = 400, 150


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give every socket a buffer of an ordinary user; return the sizes that were asked for."""
    asked: list[int] = []

    def enlarge(opened: socket.socket, size: int) -> bool:
        asked.append(size)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, min(size, RMEM_MAX))
        return False

    monkeypatch.setattr(receiving, "enlarge", enlarge)
    return asked


def traced(bed: Testbed) -> int:
    """Send many SYNs while the bed is traced; return the number of journeys."""
    with bed.tracing() as tracing:
        for number in range(PACKETS):
            assert bed.connect("client", "host:80", port=20000 + number).syn.delivered_to == "web"
        return len(tracing.journeys())


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_trace_of_many_packets_is_complete(small: list[int], backend: str) -> None:
    with Testbed(article.topology(), article.ruleset(), backend) as bed:
        assert traced(bed) == PACKETS
    assert max(small) > RMEM_MAX
    assert receiving._readers == {}


def test_trace_that_nobody_reads_is_an_error_with_a_remedy(small: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "read_waiting", lambda: None)
    with Testbed(article.topology(), article.ruleset(), "nft") as bed, pytest.raises(KernelRefused) as lost:
        traced(bed)
    assert small
    assert "net.core.rmem_max" in lost.value.remedy


def test_bed_of_many_links_comes_up(small: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    again: list[str] = []
    ask_again = linkwatch.LinkWatch._ask_again
    monkeypatch.setattr(linkwatch.LinkWatch, "_ask_again", lambda watch: (again.append(""), ask_again(watch)))
    services = "\n".join(f"  c{number}: {{network_mode: bridge}}" for number in range(CONTAINERS))
    host = hostfile.parse(f"services:\n{services}\n")
    with Testbed(article.topology(host), article.ruleset()) as bed:
        assert not bed.connect("client", "host:81").syn.delivered
    assert again  # announcements were lost
    assert small
