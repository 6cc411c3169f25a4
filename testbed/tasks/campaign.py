"""What a campaign of mutants is made of, and the files that its result is written to."""

from __future__ import annotations

import json as to_json
import subprocess
from collections.abc import Callable
from pathlib import Path

from testbed.errors import TestbedError
from testbed.mutation.campaign import Campaign
from testbed.report import mutation as report
from testbed.report import mutation_files
from testbed.report.page import Page, html
from testbed.rules import files, save
from testbed.rules.ruleset import Ruleset
from testbed.tasks.chosen import Chosen


def iptables_rules(chosen: Chosen) -> Ruleset:
    """Return the rules; raise TestbedError if they are in nftables' syntax."""
    rules = chosen.rules.as_iptables
    if rules is None:
        raise TestbedError(
            f"{chosen.rules.source} is in nftables' syntax.", "Mutants are made of what iptables-save prints."
        )
    return rules


def rules_at(revision: str, rules: str | None) -> Ruleset:
    """What the file of rules was at a revision of its git repository."""
    if not rules:
        raise TestbedError("--changed-since compares a file with what it was.", "Name it with --rules FILE.")
    path = Path(rules).resolve()
    shown = subprocess.run(
        ["git", "-C", str(path.parent), "show", "--end-of-options", f"{revision}:./{path.name}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if shown.returncode:
        raise TestbedError(f"git does not show {rules} at {revision}: {shown.stderr.strip()}", "Name another revision.")
    return save.parse(shown.stdout, f"{rules} at {revision}")


def write(found: Campaign, junit: str, json: str, markdown: str, page: str) -> None:
    texts: dict[str, Callable[[], str]] = {
        junit: lambda: mutation_files.junit(found),
        json: lambda: to_json.dumps(mutation_files.elements(found), indent=2) + "\n",
        markdown: lambda: report.markdown(found),
        page: lambda: html(Page(title="Mutants of a rule set", stories=(), mutation=found)),
    }
    for name, text in texts.items():
        if name:
            files.write(name, text())
