"""Sets of addresses that iptables' rules match, put into a namespace and read back by the program ipset."""

from __future__ import annotations

import re

from testbed.errors import KernelRefused, RulesError
from testbed.kernel.namespace import Namespace
from testbed.rules.ruleset import Ruleset

_CREATE = re.compile(r"^create (?P<name>\S+) .*$", re.MULTILINE)
_ABOUT_SETS = re.compile(r"--(?:match|add|del|map)-set\s")
_MAX_TRIES = 100  # the kernel lets go of a set some time after the rules that matched it are gone (nf_tables_api.c)
_REMEDY = "Correct that line; where a set of that name is there already and is of another kind, make a new bed."


def load(namespace: Namespace, ruleset: Ruleset) -> None:
    """Make the sets of a rule set, with just the elements that it lists; RulesError for those that are refused."""
    if not ruleset.sets:
        return
    emptied = "".join(f"{found[0]}\nflush {found['name']}\n" for found in _CREATE.finditer(ruleset.sets))
    _restore(namespace, emptied)  # where this is refused, the same line is refused again, with its number
    if refusal := _restore(namespace, ruleset.sets):
        raise RulesError(f"the sets of {ruleset.source} are refused: {refusal}.", _REMEDY)


def saved(namespace: Namespace, ruleset: Ruleset) -> str | None:
    """All sets of a namespace as `ipset save` prints them; None, without asking, if a rule set is not about sets."""
    if not ruleset.sets and not any(_ABOUT_SETS.search(rule.spec) for _, rule in ruleset.rules):
        return None
    listed = namespace.command(["ipset", "save"])
    if listed.returncode:
        raise KernelRefused(f"ipset cannot list the sets: {listed.stderr.strip()}.")
    return listed.stdout


def put_back(namespace: Namespace, sets: str | None) -> None:
    """Make the sets of a namespace those that were saved; None: they were not asked for, so they are not touched."""
    if sets is None:
        return
    wanted = [found["name"] for found in _CREATE.finditer(sets)]
    there = namespace.command(["ipset", "list", "-name"]).stdout.split()
    _destroy(namespace, [name for name in there if name not in wanted])
    flushed = "".join(f"flush {name}\n" for name in there if name in wanted)
    if refusal := _restore(namespace, flushed + sets):
        raise KernelRefused(f"ipset does not put the sets back: {refusal}.", "Make a new bed.")


def _restore(namespace: Namespace, text: str) -> str:
    """Run the lines of a text; why they are refused, or ''."""
    finished = namespace.command(["ipset", "-exist", "restore"], text)
    return finished.stderr.strip().removesuffix(".") if finished.returncode else ""


def _destroy(namespace: Namespace, names: list[str]) -> None:
    for _ in range(_MAX_TRIES):
        names = [name for name in names if namespace.command(["ipset", "destroy", name]).returncode]
        if not names:
            return
    raise KernelRefused(f"ipset does not destroy {', '.join(names)}.", "Make a new bed.")
