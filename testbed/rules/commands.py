"""The rules that iptables commands make on a host without rules, and the output of `iptables -S`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from testbed.errors import RulesError
from testbed.rules import families, files, forbidden
from testbed.rules.counters import Counters
from testbed.rules.ruleset import IPV6, Chain, Rule, Ruleset, Table

_BUILT_IN = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
_TABLE_OF = {frozenset(chains): table for table, chains in reversed(_BUILT_IN.items())}
_TABLE_OF[frozenset(("PREROUTING", "OUTPUT", "POSTROUTING"))] = "nat"  # before Linux 2.6.36
_COMMAND = re.compile(r"(?:sudo\s+)?(?:\S*/)?(?P<program>ip6?tables)(?:-nft|-legacy)?\s+(?P<rest>.*)")
_LISTED = re.compile(r"-[PNA]\s+\S")
_VERBS = {
    **{f"-{letter}": letter for letter in "AIDRFZNXPLSC"},
    **{
        f"--{word}": word[0].upper()
        for word in ("append", "insert", "delete", "replace", "flush", "new-chain", "policy")
    },
    "--delete-chain": "X",
    "--zero": "Z",
    "--list": "L",
    "--list-rules": "S",
    "--check": "C",
}
_NO_PART = ("-v", "-n", "-w", "--wait", "--verbose", "--numeric")
_LITERAL = re.compile(r"'[^']*'|\"(?:[^\"\\$`]|\\.)*\"|\\.|(?<=\s)#.*")
_SHELL = re.compile(r"[$`;&|<>()]")  # variables, substitutions, lists, pipes, redirections
_PLAIN = re.compile(r"[\w./:,!@%^+=~{}\[\]*?-]+")
_WHOLE = "Give the whole of what `iptables-save` prints on that host instead."


def begins(text: str) -> bool:
    """Return whether the first line of code is such a command, or a line of `iptables -S`."""
    lines = (line.strip() for line in text.split("\n"))
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return bool(_COMMAND.match(first) or _LISTED.match(first))


def parse(text: str, source: str) -> Ruleset:
    """Return the rule set that the commands make; raises RulesError, with the line, for an unsupported command."""
    maker = _Maker(source)
    for number, line in _joined(text):
        maker.read(number, line)
    return maker.finished()


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line of code with its number; a backslash at its end continues it."""
    begun, so_far = 0, ""
    for number, line in enumerate(text.split("\n"), start=1):
        begun = begun or number
        so_far += line.rstrip()
        if so_far.endswith("\\"):
            so_far = f"{so_far[:-1]} "
            continue
        if so_far.strip() and not so_far.lstrip().startswith("#"):
            yield begun, so_far.strip()
        begun, so_far = 0, ""
    if so_far.strip():
        yield begun, so_far.strip()


@dataclass(slots=True)
class _GrowingChain:
    declared: Chain
    rules: list[Rule] = field(default_factory=list)


@dataclass(slots=True)
class _Made:
    """A table under construction; `family` is None if no command name shows it."""

    name: str
    family: str | None
    line: int
    chains: dict[str, _GrowingChain]

    @property
    def table(self) -> Table:
        declared = [chain.declared for chain in self.chains.values()]
        return Table(self.name, (*declared, *(rule for chain in self.chains.values() for rule in chain.rules)))


class _Maker:
    """Builds the tables; `_listed` are the lines of one `iptables -S` output, whose table is known at its end."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._made: dict[tuple[str, str | None], _Made] = {}
        self._listed: list[tuple[int, list[str]]] = []
        self._named: tuple[str, str | None] | None = None  # the table of a command `iptables -t TABLE -S`

    def read(self, number: int, line: str) -> None:
        command = _COMMAND.match(line)
        words = self._words(number, line, command["rest"] if command is not None else line, command is not None)
        if command is None:
            if not _LISTED.match(line):
                raise self._error(number, line, "it is no command of iptables", _WHOLE)
            if words[0] == "-P" and self._listed and self._listed[-1][1][0] != "-P":
                self._end_of_list()
            self._listed.append((number, words))
            return
        self._end_of_list()
        family = IPV6 if command["program"] == "ip6tables" else ""
        table, rest = self._table(number, line, words)
        if any(_VERBS.get(word) in ("L", "S") for word in rest):
            self._named = table, family
            return
        self._run(number, line, self._of(number, table, family), rest)

    def finished(self) -> Ruleset:
        self._end_of_list()
        read = [
            families.Read(made.table, made.line, made.family, made.family is not None) for made in self._made.values()
        ]
        named = families.told(read, self._source)
        return Ruleset(tuple(replace(table, source=self._source) for table in named), self._source)

    def _words(self, number: int, line: str, text: str, of_a_shell: bool) -> list[str]:
        try:
            words = shlex.split(text, comments=of_a_shell)
        except ValueError as error:
            raise self._error(number, line, f"a quote is not closed ({error})", _WHOLE) from error
        if of_a_shell and _SHELL.search(_LITERAL.sub("", text)):
            raise self._error(number, line, "it is for a shell, which is not run here", _WHOLE)
        if not words:
            raise self._error(number, line, "it has no command", _WHOLE)
        return words

    def _table(self, number: int, line: str, words: list[str]) -> tuple[str, list[str]]:
        """Return the table that a command names, and its other words without output options."""
        table, rest = "filter", [*words]
        for place, word in enumerate(words):
            if word in ("-t", "--table") and place + 1 < len(words):
                table, rest = words[place + 1], [*words[:place], *words[place + 2 :]]
            elif word.startswith("--table="):
                table, rest = word.partition("=")[2], [*words[:place], *words[place + 1 :]]
        if table not in _BUILT_IN:
            raise self._error(number, line, f"there is no table {table}", _WHOLE)
        while rest and (rest[0] in _NO_PART or rest[0].isdigit()):
            del rest[0]
        return table, rest

    def _of(self, number: int, name: str, family: str | None) -> _Made:
        chains = {chain: _GrowingChain(Chain(chain, "ACCEPT", line=number)) for chain in _BUILT_IN[name]}
        return self._made.setdefault((name, family), _Made(name, family, number, chains))

    def _end_of_list(self) -> None:
        """Make the table of an `iptables -S` output; its policies show which table it is."""
        if not self._listed:
            return
        number, line = self._listed[0][0], shlex.join(self._listed[0][1])
        policies = frozenset(words[1] for _, words in self._listed if words[0] == "-P")
        name, family = self._named or (_TABLE_OF.get(policies, ""), None)
        if not name or (name, family) in self._made:
            which = (
                "these lines do not tell which table they are of" if not name else f"the table {name} is there twice"
            )
            raise self._error(number, line, which, _WHOLE)
        made = self._of(number, name, family)
        for at, words in self._listed:
            self._run(at, shlex.join(words), made, words)
        self._listed, self._named = [], None

    def _run(self, number: int, line: str, made: _Made, words: list[str]) -> None:
        at = next((place for place, word in enumerate(words) if word in _VERBS), None)
        if at is None:
            raise self._error(number, line, "it has no command such as -A", _WHOLE)
        verb, given = _VERBS[words[at]], [*words[at + 1 :], *words[:at]]
        if verb in ("F", "X", "Z"):
            self._empty(number, line, made, verb, given)
        elif verb == "C":
            return
        elif not given:
            raise self._error(number, line, "it names no chain", _WHOLE)
        elif verb == "N":
            made.chains[given[0]] = _GrowingChain(Chain(given[0], line=number))
        elif given[0] not in made.chains:
            why = f"no line before makes the chain {given[0]} of the table {made.name}"
            raise self._error(number, line, why, _WHOLE)
        elif verb == "P":
            if given[1:2] not in (["ACCEPT"], ["DROP"]):
                raise self._error(number, line, "a policy is ACCEPT or DROP", _WHOLE)
            chain = made.chains[given[0]]
            chain.declared = replace(chain.declared, policy=given[1], line=number)
        else:
            self._edit(number, line, made.chains[given[0]], verb, given)

    def _empty(self, number: int, line: str, made: _Made, verb: str, given: Sequence[str]) -> None:
        if given and given[0] not in made.chains:
            raise self._error(number, line, f"no line before makes the chain {given[0]}", _WHOLE)
        chosen = [given[0]] if given else [*made.chains]
        for name in chosen:
            if verb == "F":
                made.chains[name].rules.clear()
            elif verb == "X" and made.chains[name].declared.policy is None:
                del made.chains[name]

    def _edit(self, number: int, line: str, chain: _GrowingChain, verb: str, given: list[str]) -> None:
        """Append, insert, replace or delete a rule."""
        place = int(given[1]) - 1 if verb in "IRD" and len(given) > 1 and given[1].isdigit() else None
        rule = self._rule(number, line, given[0], given[2 if place is not None else 1 :])
        if verb == "D" and place is None:
            place = next((at for at, known in enumerate(chain.rules) if known.text == rule.text), None)
        last = len(chain.rules) if verb == "I" else len(chain.rules) - 1
        if (verb in "DR" or place is not None) and (place is None or not 0 <= place <= last):
            raise self._error(number, line, "no line before makes the rule that it names", _WHOLE)
        if verb == "A":
            chain.rules.append(rule)
        elif verb == "I":
            chain.rules.insert(place or 0, rule)
        elif verb == "R":
            chain.rules[place or 0] = rule
        else:
            del chain.rules[place or 0]

    def _rule(self, number: int, line: str, chain: str, words: list[str]) -> Rule:
        counters = None
        if "-c" in words[:-2] and all(word.isdigit() for word in words[words.index("-c") + 1 : words.index("-c") + 3]):
            place = words.index("-c")
            counters = Counters(int(words[place + 1]), int(words[place + 2]))
            words = [*words[:place], *words[place + 3 :]]
        spec = " ".join(map(_quoted, words))
        if wrong := forbidden.in_rule(spec):
            raise self._error(number, line, wrong, "Leave that option out, and write addresses instead of names.")
        return Rule(chain, spec, counters, number)

    def _error(self, number: int, line: str, why: str, remedy: str) -> RulesError:
        return RulesError(f"{self._source}, line {number}: {files.shown(line)!r} is not understood: {why}.", remedy)


def _quoted(word: str) -> str:
    """Return a word as iptables-save writes it."""
    if _PLAIN.fullmatch(word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
