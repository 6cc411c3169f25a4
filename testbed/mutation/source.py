"""A proposed case as the source of a test, to show and to paste; a campaign never executes it.

Values from rules, files and names appear in it only as literals (literal.py).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from testbed.behaviour.case import PacketCase
from testbed.behaviour.mutants import Mutant
from testbed.docker import article
from testbed.mutation.literal import arguments, expression, imports
from testbed.mutation.proposal import Proposal, Setting

_INDENT = " " * 4
_ARTICLE = ("HOST", "HOST_WITHOUT_PROXY", "HOST_WITH_TWO_NETWORKS")


def source(mutant: Mutant, proposal: Proposal) -> str:
    """Return the source of a test that checks the proposed case on its bed."""
    made = proposal.setting
    name = re.sub(r"[^A-Za-z0-9_]", "_", mutant.id)
    bed, fixtures, making = _bed(made)
    lines = [
        repr(f"Kills the mutant {mutant.id}: {mutant.title}: {mutant.was}"),
        *making,
        f"check({bed}, {_row(proposal.case)})",
    ]
    body = "\n".join(f"{_INDENT}{line}" for text in lines for line in text.split("\n"))
    return f"{_imported(_needed(made))}\n\n\ndef test_notices_{name}({fixtures}):\n{body}\n"


def _bed(made: Setting) -> tuple[str, str, list[str]]:
    """Return the name of the bed in the test, the fixtures that it needs, and the lines that make it."""
    if not made.engine and made.host == article.HOST:
        return "bed", "bed", []
    host = f"host = {_host(made)}"
    if not made.engine:
        return "bed", "make_bed, testbed_rules", [host, "bed = make_bed(host, rules=testbed_rules)"]
    return "bed", "make_bed", [host, f"bed = make_bed(host, rules=engine({made.engine!r}).rules(host))"]


def _row(case: PacketCase) -> str:
    """Return the row with a line for each value that differs from its default."""
    rows = []
    for name, value in arguments(case):
        if name == "counters":
            inner = "\n".join(f"{_INDENT * 2}{expression(line)}," for line in value)
            rows.append(f"{_INDENT}{name}=(\n{inner}\n{_INDENT}),")
        else:
            rows.append(f"{_INDENT}{name}={expression(value)},")
    return "\n".join(["PacketCase(", *rows, ")"])


def _host(made: Setting) -> str:
    named = next((name for name in _ARTICLE if made.host == getattr(article, name)), None)
    return f"article.{named}" if named else expression(made.host)


def _needed(made: Setting) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of each import of the test."""
    yield from (("testbed.behaviour.case", "PacketCase"), ("testbed.behaviour.case", "check"))
    if made.engine:
        yield "testbed.docker.engines", "engine"
    if made.engine or made.host != article.HOST:
        known = any(made.host == getattr(article, name) for name in _ARTICLE)
        yield from [("testbed.docker", "article")] if known else imports(made.host)


def _imported(needed: Iterable[tuple[str, str]]) -> str:
    names: dict[str, set[str]] = defaultdict(set)
    for module, name in needed:
        names[module].add(name)
    return "\n".join(f"from {module} import {', '.join(sorted(of))}" for module, of in sorted(names.items()))
