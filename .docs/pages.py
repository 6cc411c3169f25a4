"""Write the pages of the site that are not files in docs/: the start page, the tasks and the library."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from mkdocs.structure.files import File, Files

import testbed
from testbed.tasks import namespace

README = Path(__file__).parent.parent / "README.md"
_INTO_DOCS = re.compile(r"\]\(docs/")  # README.md is above docs/, the start page is in it


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages (an event of mkdocs)."""
    pages = {
        "index.md": _INTO_DOCS.sub("](", README.read_text()),
        "reference/tasks.md": "\n".join(_tasks(namespace)),
        "reference/library.md": "\n".join(_library()),
    }
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def _tasks(tasks: Collection) -> Iterator[str]:
    yield "# Tasks\n\n`invoke TASK` in a clone, `docker-host-testbed TASK` after installation.\n"
    for context in tasks.to_contexts():
        arguments = "".join(f" {str(argument.name).upper()}" for argument in context.positional_args)
        yield f"## {context.name}\n\n```\ninvoke {context.name}{arguments}\n```\n"
        yield f"{inspect.getdoc(tasks[context.name]) or ''}\n"
        if options := context.help_tuples():
            yield "| option | meaning |\n| --- | --- |"
            yield from (f"| `{names}` | {_cell(said or '')} |" for names, said in options)
            yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _library() -> Iterator[str]:
    yield "# Library\n\nEverything that `testbed` exports.\n"
    for name in sorted(testbed.__all__):
        value = getattr(testbed, name)
        if inspect.isclass(value):
            yield f"::: {value.__module__}.{name}\n"
