"""A class name stands for one thing: no two modules of the package define the same one."""

import ast
from collections import defaultdict
from pathlib import Path

import testbed


def test_class_names_are_defined_in_one_module() -> None:
    modules: defaultdict[str, set[str]] = defaultdict(set)
    package = Path(testbed.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                modules[node.name].add(str(path.relative_to(package)))
    assert len(modules) > 200
    twice = {name: sorted(paths) for name, paths in modules.items() if len(paths) > 1}
    assert twice == {}
