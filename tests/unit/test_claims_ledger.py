"""The ledger: every claim of the article is there, with a verdict, evidence and cases that exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from testbed import TestbedError
from testbed.claims import CORRECTED, HOLDS, Claim, read

ARTICLE = Path(__file__).parents[2] / "cases" / "article"
CLAIMS = read(ARTICLE / "claims.toml")
GOOD = """
[A01]
section = "intro"
claim = "It is so."
verdict = "holds"
evidence = "It was seen."
cases = ["test_1_intro.py::test_it"]
"""


def functions(path: Path) -> set[str]:
    """The tests of a file, found without running it."""
    defined = (node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef))
    return {name for name in defined if name.startswith("test_")}


def test_all_27_claims_are_there() -> None:
    assert [claim.id for claim in CLAIMS] == [f"A{number:02}" for number in range(1, 28)]
    assert {claim.verdict for claim in CLAIMS} == {HOLDS, CORRECTED}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_claim_has_cases_that_exist_and_evidence(claim: Claim) -> None:
    assert claim.cases
    assert claim.verdict in (HOLDS, CORRECTED)
    assert len(claim.evidence.split()) >= 5
    for case in claim.cases:
        file, _, function = case.partition("::")
        assert function in functions(ARTICLE / file), case


def test_the_corrected_claims_are_those_that_the_kernel_refutes() -> None:
    corrected = {claim.id for claim in CLAIMS if not claim.holds}
    assert {"A15", "A18", "A19", "A23"} <= corrected


@pytest.mark.parametrize("field", ["section", "claim", "verdict", "evidence", "cases"])
def test_a_claim_that_lacks_something_is_refused(tmp_path: Path, field: str) -> None:
    lines = [line for line in GOOD.splitlines() if not line.startswith(field)]
    (tmp_path / "claims.toml").write_text("\n".join(lines))
    with pytest.raises(TestbedError, match=f"claim A01 has no {field}"):
        read(tmp_path / "claims.toml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"holds"', '"perhaps"', "verdict 'perhaps'"),
        ('["test_1_intro.py::test_it"]', "[]", "has no cases"),
        ('["test_1_intro.py::test_it"]', '"test_it"', "are not a list"),
        ('["test_1_intro.py::test_it"]', '[" "]', "are not a list"),
        ('"It was seen."', '"  "', "has no evidence"),
        ("[A01]", 'title = "x"\n[A01]', "title is no claim"),
        ("[A01]", "[A01", "cannot be read"),
    ],
)
def test_a_ledger_with_a_mistake_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "claims.toml").write_text(GOOD.replace(old, new))
    with pytest.raises(TestbedError, match=said):
        read(tmp_path / "claims.toml")
    (tmp_path / "claims.toml").write_text(GOOD)
    assert len(read(tmp_path / "claims.toml")) == 1


def test_a_ledger_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match=r"none\.toml cannot be read"):
        read(tmp_path / "none.toml")
