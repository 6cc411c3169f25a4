"""Cells that depend on a clause that no model reads are open under that condition."""

from __future__ import annotations

import pytest

from testbed.docker import article
from testbed.exposure.cells import CellState
from testbed.exposure.made import ExposureStand
from testbed.rules import rulefile

ARTICLE = article.ruleset().text
MATCHING = '-m bpf --bytecode "1,6 0 0 65535"'  # every packet
MISSING = '-m string --string "GET /" --algo bm'  # no SYN


@pytest.mark.parametrize("clause", [MATCHING, MISSING])
def test_port_behind_an_unread_drop_is_open_under_its_condition(clause: str) -> None:
    text = ARTICLE.replace("-A DOCKER-USER -j RETURN", f"-A DOCKER-USER {clause} -j DROP\n-A DOCKER-USER -j RETURN")
    matrix = ExposureStand.of(article.HOST, rulefile.parse(text, "the rules"), "").confirmed()
    published = [cell for cell in matrix.cells if cell.row.port is not None and cell.column.key in ("internet", "lan")]
    assert len(published) == 2
    for cell in published:
        assert cell.state is CellState.CONDITIONS
        assert [condition.split()[:3] for condition in cell.clauses] == [["not", *clause.split()[:2]]]
