"""The text of nftables' own syntax, taken apart: tables, chains, sets and maps, and rules as they are written.

Blocks, as nft lists them, and commands (`add rule ...`) are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_FAMILIES = ("ip", "ip6", "inet", "arp", "bridge", "netdev")
_TOKEN = re.compile(r'"[^"]*"|[{};\n]|[^\s"{};]+')
_BASE = re.compile(
    r"type (?P<type>\w+) hook (?P<hook>\w+)(?: devices? (?:=\s*)?(?:\{[^}]*\}|\S+))? priority (?P<priority>[^;]+);?"
)
_POLICY = re.compile(r"policy (\w+)")
_BLOCKS = ("table", "chain", "set", "map", "element", "elements", "counter")
_NO_RULES = ("type ", "policy ", "comment ", "devices ", "flags ")


@dataclass(slots=True)
class NativeChain:
    """A chain: `rules` are the words of each with the line where it begins."""

    table: str
    name: str
    line: int
    type: str = ""
    hook: str = ""
    priority: str = ""
    policy: str = "accept"
    rules: list[tuple[str, int]] = field(default_factory=list)


@dataclass(slots=True)
class NativeSet:
    """A named set or map: its elements as they are written; `changing` is one that rules or time change."""

    elements: list[str] = field(default_factory=list)
    changing: bool = False


@dataclass(slots=True)
class NativeText:
    """All that a text declares, by table and name."""

    chains: dict[tuple[str, str], NativeChain] = field(default_factory=dict)
    sets: dict[tuple[str, str], NativeSet] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    def chain(self, table: str, name: str, line: int) -> NativeChain:
        return self.chains.setdefault((table, name), NativeChain(table, name, line))


def parse(text: str) -> NativeText:
    """Take a text apart; what is not understood is in `unread`."""
    found = NativeText()
    for words, body, line in _statements(text, 1):
        _top(found, words, body, line)
    return found


def _top(found: NativeText, words: str, body: str, line: int) -> None:
    parts = words.split()
    if parts[:1] in (["add"], ["create"]):
        parts = parts[1:]
    if not parts or parts[0] in ("flush", "delete", "destroy"):
        return
    kind, *rest = parts
    family, rest = (rest[0], rest[1:]) if rest and rest[0] in _FAMILIES else ("ip", rest)
    table = f"{family} {rest[0]}" if rest else ""
    if kind == "table" and rest:
        for inner, own, number in _statements(body, line):
            _in_table(found, table, inner, own, number)
    elif kind == "rule" and len(rest) > 1:
        chain = found.chain(table, rest[1], line)
        words_of = words.split(rest[1], 1)[1].strip() if rest[0] != rest[1] else " ".join(rest[2:])
        chain.rules.append((f"{words_of} {body}".strip(), line))
    elif kind in ("chain", "set", "map") and len(rest) > 1:
        _in_table(found, table, f"{kind} {rest[1]}", body, line)
    elif kind == "element" and len(rest) > 1:
        found.sets.setdefault((table, rest[1]), NativeSet()).elements += elements(body)
    else:
        found.unread.append(f"{words} (line {line})")


def _in_table(found: NativeText, table: str, words: str, body: str, line: int) -> None:
    kind, _, name = words.partition(" ")
    if kind == "chain":
        _chain(found.chain(table, name.strip(), line), body, line)
    elif kind in ("set", "map"):
        known = found.sets.setdefault((table, name.strip()), NativeSet())
        for inner, own, _ in _statements(body, line):
            if inner.startswith("elements"):
                known.elements += elements(own)
            known.changing = known.changing or inner.startswith(("timeout", "flags dynamic")) or "timeout" in inner
    elif kind not in ("comment", "flags"):
        found.unread.append(f"{table}: {words} (line {line})")


def _chain(chain: NativeChain, body: str, line: int) -> None:
    for words, own, number in _statements(body, line):
        whole = f"{words} {{{own}}}" if own else words
        if base := _BASE.match(words if not own else whole):
            chain.type, chain.hook, chain.priority = base["type"], base["hook"], base["priority"].strip()
        elif policy := _POLICY.fullmatch(words.strip()):
            chain.policy = policy[1]
        elif not words.startswith(_NO_RULES):
            chain.rules.append((whole, number))


def _statements(text: str, line: int) -> Iterator[tuple[str, str, int]]:
    """The statements of a block: words, what stands in a block behind them, and the line where they begin."""
    words: list[str] = []
    place, start = 0, line
    while place < len(text):
        found = _next(text, place)
        if found is None:
            break
        word, at, line = found[0], found[1], line + text.count("\n", place, found[1])
        place = at + len(word)
        if word == "{" and _is_block(words):
            end = _closing(text, place)
            yield " ".join(words), text[place:end], start
            line += text.count("\n", place, end)
            place, words = end + 1, []
        elif word == "{":
            end = _closing(text, place)
            words.append("{" + re.sub(r"\s+", " ", text[place:end]) + "}")
            line += text.count("\n", place, end)
            place = end + 1
        elif word in ";\n":
            if words:
                yield " ".join(words), "", start
                words = []
            line += word == "\n"
        else:
            start = start if words else line
            words.append(word)
    if words:
        yield " ".join(words), "", start


def _next(text: str, place: int) -> tuple[str, int] | None:
    while place < len(text):
        found = _TOKEN.search(text, place)
        if found is None:
            return None
        if not found[0].startswith("#"):
            return found[0], found.start()
        end = text.find("\n", found.start())
        if end < 0:
            return None
        place = end
    return None


def _is_block(words: list[str]) -> bool:
    """Whether braces behind these words hold statements, and are no set of a rule."""
    head = words[1:] if words[:1] in (["add"], ["create"]) else words
    return bool(head) and (
        head[0] in ("table", "chain", "set", "map", "element", "elements", "counter") or "=" in words
    )


def _closing(text: str, place: int) -> int:
    depth = 1
    for found in re.finditer(r'"[^"]*"|[{}]', text[place:]):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if not depth:
            return place + found.start()
    return len(text)


def elements(text: str) -> list[str]:
    """The elements of a set or a map, by the commas between them."""
    found = re.findall(r'(?:"[^"]*"|\([^)]*\)|[^,"(])+', text.replace("\n", " "))
    return [" ".join(element.split()) for element in found if element.strip()]
