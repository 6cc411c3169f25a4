"""Documents with parts that cases determine: a case announces its part, `invoke docs` writes it, the case compares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed import sessions
from testbed.errors import TestbedError

Edit = Callable[[str], str]  # puts what came out into a document's text
Documented = Callable[[Path, Edit], None]
_CASES = ("cases/recipes/test_recipes.py", "cases/engines/test_differences.py")


class DocumentHooks:
    """The hook of a case that determines a part of a document."""

    def pytest_document_part(self, path: Path, edit: Edit) -> None:
        """Called before the case compares the document with what came out."""


class _Writer:
    """Writes each part that a case announces; `changed` are the documents, and whether their texts changed."""

    def __init__(self) -> None:
        self.changed: dict[Path, bool] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_document_part(self, path: Path, edit: Edit) -> None:
        before = path.read_text()
        after = edit(before)
        path.write_text(after)
        self.changed[path] = self.changed.get(path, False) or after != before


def write(folder: Path) -> dict[Path, bool]:
    """Write the documents of the repository in a folder; return each, and whether its text changed.

    Raise TestbedError if a case ends before it has a result.
    """
    writer = _Writer()
    cases = [str(folder / case) for case in _CASES]
    code = sessions.run([*cases, "--testbed-backend", "nft", "--numprocesses", "0", "-q"], [writer])
    if code != pytest.ExitCode.OK:
        raise TestbedError("a case failed, so the documents are incomplete.", "Mend the case that is named above.")
    return writer.changed
