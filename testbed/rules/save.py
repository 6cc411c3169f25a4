"""The text form of a rule set: what `iptables-save` prints and `iptables-restore` reads."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from testbed.errors import RulesError
from testbed.rules import files
from testbed.rules.counters import Counters
from testbed.rules.ruleset import Chain, Comment, Rule, Ruleset, Table

_CHAIN = re.compile(r":(?P<name>\S+) (?P<policy>\S+)(?: (?P<counters>\[\d+:\d+\]))?")
_RULE = re.compile(r"(?:(?P<counters>\[\d+:\d+\]) )?-A (?P<chain>\S+)(?: (?P<spec>.*))?")
_COMMANDS = re.compile(r"-(?:I|N|P|D|F|X|R|Z|E)\b|--(?:insert|new-chain|policy|delete|flush|append)\b")


def read(path: Path | str) -> Ruleset:
    """The rule set in a file; RulesError when it cannot be read or a line is not understood."""
    return parse(files.text_of(path, "Give a file that iptables-save wrote."), source=str(path))


def parse(text: str, source: str = "the rule set") -> Ruleset:
    """The rule set that an `iptables-save` text describes.

    Raises RulesError with the number and the text of the first line that is not of that form. Whether a match or a
    target exists is not asked here: that is for `iptables-restore` and the kernel.
    """
    finished: list[Table | Comment] = []
    name: str | None = None
    entries: list[Chain | Rule | Comment] = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            (finished if name is None else entries).append(Comment(line))
        elif name is None:
            if not re.fullmatch(r"\*\S+", line):
                raise _broken(source, number, line, "a table begins with *NAME, its lines follow that")
            name, entries = line[1:], []
            if any(isinstance(entry, Table) and entry.name == name for entry in finished):
                raise _broken(source, number, line, "this table has been there already; a rule set has it once")
        elif line == "COMMIT":
            finished.append(Table(name, tuple(entries)))
            name = None
        else:
            entries.append(_entry(line, number, source))
    if name is not None:
        raise RulesError(f"{source}: the table {name} is not closed by a line COMMIT.", "Add the missing line COMMIT.")
    return Ruleset(tuple(finished), source)


def render(ruleset: Ruleset) -> str:
    """The text of a rule set; what `iptables-save` wrote comes out as it was, byte for byte."""
    lines: list[str] = []
    for entry in ruleset.entries:
        if isinstance(entry, Table):
            lines += [f"*{entry.name}", *(str(inner) for inner in entry.entries), "COMMIT"]
        else:
            lines.append(str(entry))
    return "".join(f"{line}\n" for line in lines)


def _entry(line: str, number: int, source: str) -> Chain | Rule:
    if chain := _CHAIN.fullmatch(line):
        policy = None if chain["policy"] == "-" else chain["policy"]
        return Chain(chain["name"], policy, Counters.parse(chain["counters"] or ""), number)
    if rule := _RULE.fullmatch(line):
        spec = rule["spec"] or ""
        try:
            shlex.split(spec)
        except ValueError as error:
            raise _broken(source, number, line, f"a quote is not closed ({error})") from error
        return Rule(rule["chain"], spec, Counters.parse(rule["counters"] or ""), number)
    if _COMMANDS.match(line):
        raise _broken(source, number, line, "a rule set lists its rules with -A, as iptables-save prints them")
    raise _broken(source, number, line, "expected a chain (:NAME POLICY [0:0]), a rule (-A CHAIN ...) or COMMIT")


def _broken(source: str, number: int, line: str, why: str) -> RulesError:
    return RulesError(f"{source}, line {number}: {line!r} is not understood: {why}.", "Correct that line.")
