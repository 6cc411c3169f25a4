"""The values of a matrix: what a cell says, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from testbed.analysis.describe import Term
from testbed.exposure.columns import ExposureColumn
from testbed.exposure.rows import ExposureRow
from testbed.exposure.witness import ExposureWitness
from testbed.rules.reference import RuleReference


class CellState(Enum):
    """What a cell says of the packets of a column and the service of a row."""

    OPEN = "open"
    CONDITIONS = "open with conditions"
    CLOSED = "closed"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    NOT_JUDGED = "not judged"

    @property
    def open(self) -> bool:
        return self in (CellState.OPEN, CellState.CONDITIONS)


class Way(Enum):
    """How a service is reached."""

    PUBLISHED = "published port"
    OWN = "own address"
    PROXY = "userland proxy"
    OTHER = "another address or port"


class Mark(Enum):
    """What is remarkable about an open cell."""

    INTERNET = "open to the internet"
    IPV6_ONLY = "open in IPv6 only"
    BYPASS = "open although INPUT closes the port"
    LOOPBACK = "published on the loopback, and open to others"
    OWN_ADDRESS = "open by the container's own address"


class Why(Enum):
    """Why packets that no rule stopped do not reach their target."""

    NONE = ""
    NO_ADDRESS = "nothing to send to"  # no address of the target is one that this origin's packets get to the host for
    NO_ROUTE = "not routed"
    NOT_LISTENING = "no listener"  # the host takes the packet, and no program of it listens there
    ELSEWHERE = "goes elsewhere"
    ANSWER = "its answer is dropped"


@dataclass(frozen=True, slots=True)
class Bypass:
    """The rule or policy of INPUT that closes a port, and the rule that leads its packets past INPUT."""

    meant: RuleReference
    translation: RuleReference | None


@dataclass(frozen=True, slots=True)
class ExposureCell:
    """One row, one column, one version of IP.

    `by` is the rule or policy that decided about the witness; None: no rule did. `answer` is what a refusal sends back.
    `terms` bound the packets that get through, `clauses` are those that no model reads (a limit). `ways` are all that
    are open. `unjudged` names what keeps the cell from being judged. `confirmed`: the witness was sent on a bed.
    """

    row: ExposureRow
    column: ExposureColumn
    version: int
    state: CellState
    by: RuleReference | None = None
    answer: str = ""
    why: Why = Why.NONE
    terms: tuple[Term, ...] = ()
    clauses: tuple[str, ...] = ()
    ways: tuple[Way, ...] = ()
    marks: tuple[Mark, ...] = ()
    bypass: Bypass | None = None
    unjudged: tuple[str, ...] = ()
    witness: ExposureWitness | None = None
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class ExposureMatrix:
    """All cells of a host and a rule set; `unjudged` is what no cell takes account of."""

    source: str
    rows: tuple[ExposureRow, ...]
    columns: tuple[ExposureColumn, ...]
    cells: tuple[ExposureCell, ...]
    unjudged: tuple[str, ...] = ()

    def of(self, row: ExposureRow, column: ExposureColumn) -> tuple[ExposureCell, ...]:
        """Return the cells of a row and a column, one for each version of IP; none: there is no sender."""
        return tuple(cell for cell in self.cells if cell.row is row and cell.column is column)

    @property
    def not_judged(self) -> tuple[ExposureCell, ...]:
        return tuple(cell for cell in self.cells if cell.state is CellState.NOT_JUDGED)
