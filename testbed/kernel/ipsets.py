"""Sets of addresses that iptables rules match, loaded into a namespace and read back by the program ipset."""

from __future__ import annotations

import re

from testbed.errors import KernelRefused, RulesError
from testbed.kernel.namespace import Namespace
from testbed.rules.ruleset import Ruleset

_CREATE = re.compile(r"^create (?P<name>\S+) .*$", re.MULTILINE)
_ABOUT_SETS = re.compile(r"--(?:match|add|del|map)-set\s")
_MAX_TRIES = 100  # the kernel releases a set some time after the rules that matched it are deleted (nf_tables_api.c)
_REMEDY = "Correct that line; where a set of that name is there already and is of another kind, make a new bed."


def load(namespace: Namespace, ruleset: Ruleset) -> None:
    """Make the sets of a rule set with exactly the elements that it lists; raises RulesError for refused sets."""
    if not ruleset.sets:
        return
    emptied = "".join(f"{found[0]}\nflush {found['name']}\n" for found in _CREATE.finditer(ruleset.sets))
    _restore(namespace, emptied)  # a refused line is refused again below, then with its line number
    if refusal := _restore(namespace, ruleset.sets):
        raise RulesError(f"the sets of {ruleset.source} are refused: {refusal}.", _REMEDY)


def saved(namespace: Namespace, ruleset: Ruleset) -> str | None:
    """Return all sets of a namespace as `ipset save` prints them, or None if the rule set uses no sets."""
    if not ruleset.sets and not any(_ABOUT_SETS.search(rule.spec) for _, rule in ruleset.rules):
        return None
    listed = namespace.command(["ipset", "save"])
    if listed.returncode:
        raise KernelRefused(f"ipset cannot list the sets: {listed.stderr.strip()}.")
    return listed.stdout


def put_back(namespace: Namespace, sets: str | None) -> None:
    """Restore the saved sets of a namespace; None means that no sets were saved, so none are changed."""
    if sets is None:
        return
    wanted = [found["name"] for found in _CREATE.finditer(sets)]
    there = namespace.command(["ipset", "list", "-name"]).stdout.split()
    _destroy(namespace, [name for name in there if name not in wanted])
    flushed = "".join(f"flush {name}\n" for name in there if name in wanted)
    if refusal := _restore(namespace, flushed + sets):
        raise KernelRefused(f"ipset does not put the sets back: {refusal}.", "Make a new bed.")


def _restore(namespace: Namespace, text: str) -> str:
    """Run the lines of a text with `ipset restore`; return the reason of a refusal, or ''."""
    finished = namespace.command(["ipset", "-exist", "restore"], text)
    return finished.stderr.strip().removesuffix(".") if finished.returncode else ""


def _destroy(namespace: Namespace, names: list[str]) -> None:
    for _ in range(_MAX_TRIES):
        names = [name for name in names if namespace.command(["ipset", "destroy", name]).returncode]
        if not names:
            return
    raise KernelRefused(f"ipset does not destroy {', '.join(names)}.", "Make a new bed.")
