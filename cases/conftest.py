"""Lets a case be chosen by the claim it proves (`invoke test -k A15`), and says at the end what was changed.

A case that determines a part of a document announces that part by a hook of its own; `invoke docs` writes it.
"""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
from documents import Documented, DocumentHooks

from testbed.claims import read
from testbed.docker import article
from testbed.rules import rulefile

LEDGER = Path(__file__).parent / "article" / "claims.toml"


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(DocumentHooks)


@pytest.fixture
def documented(request: pytest.FixtureRequest) -> Documented:
    """Announce a part of a document, before the case compares the document with what came out."""
    return lambda path, edit: request.config.hook.pytest_document_part(path=path, edit=edit)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    proves: dict[str, set[str]] = {}
    for claim in read(LEDGER):
        for case in claim.cases:
            proves.setdefault(case, set()).add(claim.id)
    for item in items:
        case = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
        item.extra_keyword_matches.update(proves.get(case, ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """On a failure with other rules: how they differ from those that the cases are written for."""
    rules = config.getoption("--testbed-rules")
    if not rules or not terminalreporter.stats.get("failed"):
        return
    differing = difflib.ndiff(article.ruleset().listing, rulefile.read(rules).listing)
    terminalreporter.section("how the rules under test differ from the article's")
    for line in differing:
        if line[0] in "-+":
            terminalreporter.line(line)
