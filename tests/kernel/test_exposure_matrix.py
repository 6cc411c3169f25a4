"""The matrix of a host, by hand from its rules and its routes, each cell held against packets on the kernel.

Letters: o open, x closed, - nothing to send to, h the host takes the packet, . the container would ask itself.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.docker import article, hostfile
from testbed.docker.engines import chosen_for
from testbed.docker.fitted import fitted
from testbed.docker.host import DockerHost
from testbed.exposure.cells import CellState, ExposureMatrix, Mark, Way, Why
from testbed.exposure.made import ExposureStand
from testbed.rules import rulefile

ROOT = Path(__file__).parents[2]
FOREIGN = sorted((ROOT / "tests/data/foreign").iterdir())
LETTERS = {CellState.CLOSED: "x", CellState.REFUSED: "r", CellState.UNREACHABLE: "-", CellState.NOT_JUDGED: "?"}

# docs/docker.yaml: columns internet, lan, direct, bridge, front, back, host. web is on front, mail, dns and admin are
# on the default bridge, db on back, which is internal. Before 28 a neighbour reaches what is published by the
# container's address, and 127.0.0.1 is translated in PREROUTING before any route is looked up. back drops what leaves.
OLD = """
web:8080/tcp    o o o o . x o
web:8443/tcp    o o o o . x o
web:*           - - x x . x o
mail:25/tcp     o o o o o x o
mail:587/tcp    o o o o o x o
mail:*          - - x o x x o
dns:53/udp      o o o o o x o
dns:*           - - x o x x o
admin:9000/tcp  - - o o x x o
admin:*         - - x o x x o
db:*            - - x x x . o
host:*          h h h h h h .
"""
# Since 28 a rule of the raw table drops what is sent to a container's own address, or to 127.0.0.1, from outside. The
# neighbour still reaches ports that are published on all addresses by those of the host's bridges.
NEW = OLD.replace("mail:587/tcp    o o o", "mail:587/tcp    o o x").replace(
    "admin:9000/tcp  - - o", "admin:9000/tcp  - - x"
)
# With nftables 29 accepts what is published in the chain of the bridge that a packet leaves by (filter-forward-in). It
# comes before the drop of what leaves an internal network: a container of back that gives packets to the host gets in.
NATIVE = "\n".join(
    line[:-3] + "o" + line[-2:] if line.endswith("x o") and ":*" not in line and "admin" not in line else line
    for line in NEW.splitlines()
)
EXPECTED = {"20.10": OLD, "27": OLD, "28": NEW, "29": NEW, "29-nftables": NATIVE}


def stand(engine: str) -> ExposureStand:
    host: DockerHost = hostfile.described(str(ROOT / "docs/docker.yaml")).host
    known = chosen_for(host, engine)
    return ExposureStand.of(known.built(host), known.rules(host), "")


def of_rules(path: Path) -> ExposureStand:
    rules = rulefile.read(path)
    return ExposureStand.of(fitted(article.HOST, [rules], described=False).host, rules, "")


def letters(matrix: ExposureMatrix, version: int = 4) -> str:
    lines = []
    for row in matrix.rows:
        line = f"{row.key:16}"
        for column in matrix.columns:
            found = [cell for cell in matrix.of(row, column) if cell.version == version]
            line += " " + (_letter(found[0].state, found[0].why) if found else ".")
        lines.append(line.replace("  .", " ."))
    return "\n".join(lines)


def _letter(state: CellState, why: Why) -> str:
    if state.open:
        return "h" if why is Why.NOT_LISTENING else "o"
    return LETTERS[state]


def expected(table: str) -> str:
    return "\n".join(f"{line.split()[0]:16} {' '.join(line.split()[1:])}" for line in table.strip().splitlines())


@pytest.mark.parametrize("engine", EXPECTED)
def test_the_example_host_is_exposed_as_its_rules_say(engine: str) -> None:
    matrix = stand(engine).confirmed()
    assert letters(matrix) == expected(EXPECTED[engine])
    asked = [cell for cell in matrix.cells if cell.state is not CellState.UNREACHABLE]
    assert len(asked) == 67
    assert [cell for cell in asked if not cell.confirmed] == []


def test_a_port_on_the_loopback_is_marked_where_neighbours_reach_it() -> None:
    marked = [cell for cell in stand("20.10").confirmed().cells if Mark.LOOPBACK in cell.marks]
    assert [(cell.row.key, cell.column.key) for cell in marked] == [("admin:9000/tcp", "direct")]
    assert [cell for cell in stand("28").confirmed().cells if Mark.LOOPBACK in cell.marks] == []


def test_ufw_closes_a_published_port_in_a_chain_that_is_never_asked() -> None:
    matrix = of_rules(ROOT / "tests/data/foreign/ufw-docker-28.5.rules").confirmed()
    bypassed = {(cell.row.key, cell.column.key): cell for cell in matrix.cells if Mark.BYPASS in cell.marks}
    assert set(bypassed) == {("web:80/tcp", name) for name in ("internet", "lan", "direct")}
    bypass = bypassed["web:80/tcp", "internet"].bypass
    assert bypass is not None
    assert (bypass.meant.table, bypass.meant.text) == ("filter", ":INPUT DROP")
    assert bypass.translation is not None
    assert bypass.translation.text.endswith("--dport 80 -j DNAT --to-destination 172.17.0.2:80")


def test_ufw_lets_its_own_port_in_and_closes_all_others_of_the_host() -> None:
    matrix = of_rules(ROOT / "tests/data/foreign/ufw-docker-28.5.rules").confirmed()
    states = {(cell.row.key, cell.column.key, cell.version): cell.state for cell in matrix.cells}
    for version in (4, 6):
        assert states["host:22/tcp", "internet", version] is CellState.OPEN
        assert states["host:*", "internet", version] is CellState.CLOSED
    assert states["web:80/tcp", "internet", 6] is CellState.CLOSED
    (dhcp,) = (c for c in matrix.cells if (c.row.key, c.column.key, c.version) == ("host:68/udp", "lan", 4))
    assert dhcp.state is CellState.CONDITIONS
    assert [(term.field, term.spans) for term in dhcp.terms] == [("first", ((67, 67),))]
    assert dhcp.confirmed


def test_the_userland_proxy_opens_a_port_in_ipv6_to_a_container_without_it() -> None:
    rules = chosen_for(article.HOST, "20.10").rules(article.HOST)
    matrix = ExposureStand.of(
        replace(article.HOST, surroundings=replace(article.HOST.surroundings, ipv6=True)), rules, ""
    ).confirmed()
    cells = {(cell.row.key, cell.column.key): cell for cell in matrix.cells if cell.version == 6}
    assert cells["web:80/tcp", "internet"].state is CellState.OPEN
    assert cells["web:80/tcp", "internet"].ways == (Way.PROXY,)


@pytest.mark.parametrize("path", FOREIGN, ids=lambda path: path.name)
def test_every_cell_of_foreign_rules_is_confirmed_by_its_witness(path: Path) -> None:
    matrix = of_rules(path).confirmed()
    sent = [cell for cell in matrix.cells if cell.witness is not None]
    assert len(sent) >= 10
    assert [(cell.row.key, cell.column.key) for cell in sent if not cell.confirmed] == []


def test_a_container_whose_answers_a_rule_drops_is_closed_though_packets_get_in() -> None:
    known = stand("20.10")
    rules = known.rules.as_iptables
    assert rules is not None
    opened = rules.insert("filter", "DOCKER-USER", "-d 172.19.0.2 -j ACCEPT")
    matrix = replace(known, rules=opened).confirmed()
    (direct,) = (cell for cell in matrix.cells if (cell.row.key, cell.column.key) == ("db:*", "direct"))
    assert (direct.state, direct.why) == (CellState.CLOSED, Why.ANSWER)
    assert direct.by is not None
    assert direct.by.chain == "DOCKER-ISOLATION-STAGE-1"
    assert direct.confirmed
