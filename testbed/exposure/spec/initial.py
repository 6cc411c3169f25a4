"""The spec of what is open now, to be reviewed and cut down."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.exposure.cells import ExposureMatrix
from testbed.exposure.columns import ColumnKind, ExposureColumn
from testbed.exposure.rows import ExposureRow

_HEAD = """\
# yaml-language-server: $schema={schema}
# Who may reach what on this host; all else is closed. This is what is open now: cut it down to what is meant.
# docs/exposure.md of docker-host-testbed says what a spec has.
allow:
"""


def initial(matrix: ExposureMatrix, schema: str) -> str:
    """Return a spec that holds on this matrix: an entry for each origin with all that is open to it."""
    lines = [f"  - {{from: {who}, to: [{', '.join(what)}]}}" for who, what in _entries(matrix)]
    return _HEAD.format(schema=schema) + "\n".join(lines) + "\n"


def _entries(matrix: ExposureMatrix) -> Iterator[tuple[str, list[str]]]:
    found: dict[str, dict[str, None]] = {}
    for column in matrix.columns:
        for row in matrix.rows:
            cells = matrix.of(row, column)
            if any(cell.state.open for cell in cells) and not (row.on_host and row.port is None):
                found.setdefault(_who(column), {})[_what(row)] = None
    for who, what in found.items():
        services = [one for one in what if not one.endswith(":*")]
        whole = [one for one in what if one.endswith(":*")]
        kept = [one for one in services if f"{one.partition(':')[0]}:*" not in whole]
        yield who, [f'"{one}"' if "*" in one else one for one in (*kept, *whole)]


def _who(column: ExposureColumn) -> str:
    if column.kind is ColumnKind.DIRECT:
        return ColumnKind.LAN.value
    return column.name if column.kind is ColumnKind.NETWORK else column.kind.value


def _what(row: ExposureRow) -> str:
    node = row.node
    if row.port is None:
        return f"{node}:*"
    return f"{node}:{row.port}" + (f"/{row.protocol}" if row.protocol != "tcp" else "")
