"""A mail server with IPv6, in the shape of one that many run: its exposure on three engines, by hand.

Published for all: front 80 and 443, smtp 25 and 587, imap 143 and 993. On the loopback alone: imap 12345,
database 3306, cache 6379. 20.10 writes no rules of IPv6 unless it is told to: its proxy takes those connections on the
host. A neighbour reaches what is on the loopback before 28, as 127.0.0.1 is translated before any route is looked up.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.docker import hostfile
from testbed.docker.engines import chosen_for
from testbed.exposure.cells import CellState, ExposureMatrix, Mark, Way
from testbed.exposure.made import ExposureStand

FILE = Path(__file__).parents[1] / "data" / "exposure" / "mail-server.yml"
OPEN = {"front:80/tcp", "front:443/tcp", "smtp:25/tcp", "smtp:587/tcp", "imap:143/tcp", "imap:993/tcp"}
LOOPBACK = {"imap:12345/tcp", "database:3306/tcp", "cache:6379/tcp"}


def matrix(engine: str) -> ExposureMatrix:
    host = hostfile.described(str(FILE)).host
    known = chosen_for(host, engine)
    return ExposureStand.of(known.built(host), known.rules(host), "").confirmed()


def opened(found: ExposureMatrix, column: str, version: int) -> set[str]:
    return {
        cell.row.key
        for cell in found.cells
        if (cell.column.key, cell.version) == (column, version) and cell.state.open and not cell.row.on_host
    }


@pytest.mark.parametrize("engine", ["20.10", "28", "29-nftables"])
def test_what_is_published_is_open_to_the_internet_in_both_versions(engine: str) -> None:
    found = matrix(engine)
    for version in (4, 6):
        assert opened(found, "internet", version) == OPEN
        assert opened(found, "lan", version) == OPEN
    unconfirmed = [cell for cell in found.cells if cell.witness is not None and not cell.confirmed]
    assert unconfirmed == []
    ways = {cell.ways for cell in found.cells if (cell.column.key, cell.version) == ("internet", 6) and cell.state.open}
    kinds = {way[0] for way in ways if way}
    assert (Way.PROXY in kinds) == (engine == "20.10")


@pytest.mark.parametrize(("engine", "leaks"), [("20.10", LOOPBACK), ("28", set()), ("29-nftables", set())])
def test_what_is_on_the_loopback_is_open_to_neighbours_before_28(engine: str, leaks: set[str]) -> None:
    found = matrix(engine)
    marked = {cell.row.key for cell in found.cells if Mark.LOOPBACK in cell.marks and cell.version == 4}
    assert marked == leaks
    direct = [cell for cell in found.cells if cell.column.key == "direct" and cell.row.key == "database:*"]
    assert {cell.version: cell.state for cell in direct}[4] is CellState.CLOSED
