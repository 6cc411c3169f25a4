"""invoke claims: what the article says, and what the kernel says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from testbed.tasks.console import as_json, console, in_words


@task(help={"ledger": "file with the claims", "json": "print them for programs"})
@in_words
def claims(_: Context, ledger: str = "cases/article/claims.toml", json: bool = False) -> None:
    """List the article's claims, the kernel's verdict on each, and the cases that prove it."""
    from testbed.claims import read
    from testbed.report.claims import table

    found = read(Path(ledger))
    if json:
        as_json([asdict(claim) for claim in found])
    else:
        console().print(table(found), crop=False)
