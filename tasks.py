"""Tasks for `invoke`; a repository of your own has the same line in its tasks.py.

`invoke docs` is a task of this repository alone.
"""

from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from testbed.tasks import namespace as everywhere
from testbed.tasks.console import console, in_words

__all__ = ["namespace"]


@task
@in_words
def docs(_: Context) -> None:
    """Write the tables of docs/recipes.md and docs/engines.md as the kernel has them now.

    Exit code 0; 2 when a case ends before it has a result.
    """
    from cases.documents import write

    for document, changed in write(Path(__file__).parent).items():
        console().print(f"{document.name}: {'written' if changed else 'unchanged'}.")


namespace = Collection(*everywhere.tasks.values(), docs)
