"""Lets a case be chosen by the claim it proves: `invoke test -k A15`."""

from pathlib import Path

import pytest

from testbed.claims import read

LEDGER = Path(__file__).parent / "article" / "claims.toml"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    proves: dict[str, set[str]] = {}
    for claim in read(LEDGER):
        for case in claim.cases:
            proves.setdefault(case, set()).add(claim.id)
    for item in items:
        case = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
        item.extra_keyword_matches.update(proves.get(case, ()))
