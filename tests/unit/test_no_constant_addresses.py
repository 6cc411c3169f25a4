"""The article's host is one value among others: nothing else in testbed/ holds its interface or its addresses."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import testbed
from testbed.docker import article_surroundings

PACKAGE = Path(testbed.__file__).parent
OF_THE_ARTICLE = ("192.168.66.", "ens33", "2001:db8:66::1")


def literals(source: str) -> Iterator[str]:
    """Yield the strings of a module that are no docstrings."""
    tree = ast.parse(source)
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, owners) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_no_module_but_the_articles_holds_its_interface_or_addresses() -> None:
    holding = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for text in literals(path.read_text())
        if any(constant in text for constant in OF_THE_ARTICLE)
    }
    assert holding == {"docker/article_surroundings.py"}
    assert article_surroundings.ENS33.name == "ens33"
