"""The requirements that a machine lacks for a bed, as a table."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from rich.table import Table

from testbed.kernel.requirements import Requirement
from testbed.report.layout import FittedTable
from testbed.report.terminal import Text


def table(found: Sequence[Requirement]) -> FittedTable:
    """Return a table of each requirement: met or not, its purpose, the command that provides it."""
    made = Table("what", "why")
    made.add_column("what provides it", no_wrap=True)
    for requirement in found:
        sign = Text("✓", style="green") if requirement.met else Text("✗", style="bold red")
        command = " && ".join(shlex.join(part) for part in requirement.fix) if not requirement.met else ""
        made.add_row(Text.assemble(sign, " ", requirement.name), Text(requirement.why), Text(command))
    return FittedTable(made)
