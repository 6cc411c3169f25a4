"""A case announces what it determines of a document; only the writer of `invoke docs` writes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CONFTEST = (REPOSITORY / "cases" / "conftest.py").read_text().partition("def pytest_collection_modifyitems")[0]
CASE = """
from pathlib import Path

def test_number(documented):
    path = Path(__file__).with_name("told.md")
    documented(path, lambda text: text.replace("one", "two"))
    assert path.read_text() == "two"
"""
WRITE = """
from pathlib import Path
from cases import documents

documents._CASES = ("test_number.py",)
print(documents.write(Path("."))[Path("told.md").resolve()])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one case about a document that is outdated."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_number.py").write_text(CASE)
    (tmp_path / "told.md").write_text("one")
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'cases'}"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_document_is_written_by_the_writer_and_then_compared(folder: Path) -> None:
    first = run(folder, "-c", WRITE)
    assert first.stdout.splitlines()[-1] == "True", first.stdout + first.stderr
    assert (folder / "told.md").read_text() == "two"
    assert run(folder, "-c", WRITE).stdout.splitlines()[-1] == "False"
    (folder / "told.md").write_text("three")
    assert "a case failed, so the documents are incomplete" in run(folder, "-c", WRITE).stderr


def test_case_alone_writes_nothing_and_fails(folder: Path) -> None:
    finished = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "test_number.py")
    assert finished.returncode == pytest.ExitCode.TESTS_FAILED, finished.stdout
    assert (folder / "told.md").read_text() == "one"
