"""Tasks for `invoke`; a repository of your own has the same line in its tasks.py."""

from testbed.tasks import namespace

__all__ = ["namespace"]
