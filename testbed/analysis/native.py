"""Rule sets of nftables' own syntax as the analysis walks them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from testbed.analysis import numbers
from testbed.analysis.native_text import NativeChain, NativeText, elements, parse
from testbed.analysis.rules import (
    Action,
    AnalysedChain,
    AnalysedRule,
    Assign,
    Copy,
    Decide,
    Jump,
    Manip,
    NativeSets,
    Note,
    Notrack,
    Program,
    Return,
    To,
    Translate,
    Unmodelled,
    Verdict,
)
from testbed.analysis.targets import translation
from testbed.errors import AnalysisError
from testbed.rules.clauses import Clause
from testbed.rules.nft import without_counter
from testbed.rules.nft_clauses import clauses
from testbed.rules.reference import RuleReference
from testbed.rules.ruleset import AnyRuleset

_PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
_VERSIONS = {"ip": (4,), "ip6": (6,), "inet": (4, 6)}
_HOOKS = {"prerouting", "input", "forward", "output", "postrouting"}
_WORD = re.compile(r'"[^"]*"|\{[^}]*\}|\([^)]*\)|\S+')
_COUNTED = re.compile(r"counter packets \d+ bytes \d+")
_TRACKING = re.compile(r"\bct\b|\bnotrack\b|\bmasquerade\b|\bdnat\b|\bsnat\b|\bredirect\b|type nat")
_VERDICTS: dict[str, Action] = {
    "accept": Decide(Verdict.ACCEPT),
    "drop": Decide(Verdict.DROP),
    "return": Return(),
    "notrack": Notrack(),
    "queue": Decide(Verdict.DROP),  # no program reads the queue
}
_ENDS = ("accept", "drop", "return", "jump", "goto", "continue", "queue", "reject", "dnat", "snat", "masquerade")
_MODIFIERS = {"random", "fully-random", "persistent"}


def program(ruleset: AnyRuleset) -> Program:
    """All tables of a rule set; AnalysisError for text that is not understood."""
    text = parse(ruleset.text)
    if text.unread:
        raise AnalysisError(
            f"{ruleset.source}: {text.unread[0]} is not understood.", "Give what `nft list ruleset` prints."
        )
    sets = _constant_sets(text)
    known = [chain for chain in text.chains.values() if chain.table.split()[0] in _VERSIONS]
    chains = [_chain(text, chain, ruleset.source) for chain in known]
    return Program(
        tuple(chain for chain in chains if not chain.hook or chain.hook.lower() in _HOOKS),
        native_sets=sets,
        native=True,
        tracks=_TRACKING.search(ruleset.text) is not None,
        unmodelled=tuple(_unmodelled(text)),
    )


def _unmodelled(text: NativeText) -> Iterator[str]:
    """The base chains that no packet of the model meets."""
    for chain in text.chains.values():
        family = chain.table.split()[0]
        if chain.hook and (family not in _VERSIONS or chain.hook not in _HOOKS) and chain.rules:
            rules = "; ".join(words for words, _ in chain.rules)
            yield f"chain {chain.name} of table {chain.table}, hook {chain.hook}: {rules}"


def _constant_sets(text: NativeText) -> NativeSets:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for (table, name), known in text.sets.items():
        if not known.changing:
            found.setdefault(table, {})[name] = tuple(known.elements)
    return tuple((table, tuple(sets.items())) for table, sets in found.items())


def _chain(text: NativeText, chain: NativeChain, source: str) -> AnalysedChain:
    policy = RuleReference(chain.table, chain.name, None, f"policy {chain.policy}", chain.line, source)
    rules: list[AnalysedRule] = []
    for number, (words, line) in enumerate(chain.rules, start=1):
        written = without_counter(_COUNTED.sub("counter", words))
        reference = RuleReference(chain.table, chain.name, number, written, line, source)
        rules += _rule(text, chain.table, written, reference)
    return AnalysedChain(
        chain.table,
        chain.name,
        tuple(rules),
        policy,
        chain.policy != "drop",
        chain.hook.upper(),
        _priority(chain.priority),
        chain.type == "nat",
        _VERSIONS[chain.table.split()[0]],
    )


def _priority(text: str) -> int:
    name, *rest = text.split() or ["0"]
    if (found := _PRIORITIES.get(name)) is None:
        return int("".join([name, *rest]))
    return found + (int("".join(rest)) if rest else 0)


def _rule(text: NativeText, table: str, words: str, reference: RuleReference) -> Iterator[AnalysedRule]:
    """A rule; of a verdict map one for each element, of which a packet has at most one."""
    asked = clauses(words)
    mapped = next((clause for clause in asked if clause.option.endswith(" vmap")), None)
    if mapped is None:
        end = asked[-1].end if asked else 0
        yield AnalysedRule(reference, asked, tuple(actions(words[end:], table.split()[0])))
        return
    for key, verdict in _mapped(text, table, mapped):
        one = replace(mapped, option=mapped.option.removesuffix(" vmap"), values=(key,), text=f"{mapped.text}: {key}")
        others = tuple(one if clause is mapped else clause for clause in asked)
        yield AnalysedRule(reference, others, tuple(actions(verdict, table.split()[0])))


def _mapped(text: NativeText, table: str, clause: Clause) -> Iterator[tuple[str, str]]:
    """The keys and verdicts of a verdict map."""
    value = clause.text.split(" vmap ", 1)[1].strip()
    named = text.sets.get((table, value.removeprefix("@")))
    written = named.elements if named is not None else elements(value.strip("{}"))
    for element in written:
        key, _, verdict = element.rpartition(" : ")
        yield key.strip().strip('"'), verdict.strip()


def actions(text: str, family: str) -> Iterator[Action]:
    """What the statements of a rule do, in their order."""
    words = _WORD.findall(text)
    place = 0
    while place < len(words):
        word = words[place]
        if word in ("jump", "goto"):
            yield Jump(words[place + 1], word == "goto")
            place += 2
        elif word in _VERDICTS:
            yield _VERDICTS[word]
            place = len(words)
        elif word in ("counter", "comment", "continue", "log"):
            place = _behind(words, place)
        else:
            yield from _statement(words[place:], family)
            place = _end_of(words, place)


def _behind(words: list[str], place: int) -> int:
    """The place behind a statement that does nothing to a packet."""
    word, rest = words[place], words[place + 1 :]
    if word == "counter":
        return place + {"packets": 5, "name": 3}.get(rest[0] if rest else "", 1)
    if word == "comment":
        return place + 2
    place += 1
    while word == "log" and place < len(words) and words[place] in ("prefix", "level", "group", "snaplen", "flags"):
        place += 2
    return place


def _end_of(words: list[str], place: int) -> int:
    """The place of the next statement that ends a rule, behind one that is read as a whole."""
    place += 1
    while place < len(words) and words[place] not in (*_ENDS, "comment", "counter", "log"):
        place += 1
    return place


def _statement(words: list[str], family: str) -> Iterator[Action]:
    own = words[: _end_of(words, 0)]
    text = " ".join(own)
    known = {"reject": _reject, "dnat": _translate, "snat": _translate, "masquerade": _own, "redirect": _own}
    if own[0] in known:
        found = known[own[0]](own, family)
    elif own[1:3] == ["mark", "set"] and own[0] in ("meta", "ct"):
        found = _mark(own)
    else:
        found = Note(text) if own[0] in ("add", "update", "delete", "dup") else None
    yield Unmodelled(text) if found is None else found


def _reject(words: list[str], family: str) -> Action | None:
    rest = [word for word in words[1:] if word not in ("with", "type")]
    if rest == ["tcp", "reset"]:
        return Decide(Verdict.REJECT, "tcp-reset")
    prefix = {"ip": "icmp", "ip6": "icmp6", "inet": "icmpx"}[family]
    if len(rest) == 2:
        prefix = {"icmpv6": "icmp6"}.get(rest[0], rest[0])
    kind = rest[-1] if rest else "port-unreachable"
    return Decide(Verdict.REJECT, f"{prefix}-{kind}")


def _translate(words: list[str], _family: str) -> Action | None:
    """`dnat [ip|ip6] to ADDRESS[:PORT]`; a translation by a map is not read."""
    manip = Manip.SOURCE if words[0] == "snat" else Manip.DESTINATION
    rest = [word for word in words[1:] if word not in ("to", "ip", "ip6", *_MODIFIERS)]
    if len(rest) != 1 or rest[0].startswith("@"):
        return None
    found = translation(manip, rest[0], bool({"random", "fully-random"} & set(words)))
    return None if found is None else found[0]


def _own(words: list[str], _family: str) -> Action | None:
    manip = Manip.SOURCE if words[0] == "masquerade" else Manip.DESTINATION
    rest = [word for word in words[1:] if word not in ("to", *_MODIFIERS)]
    span = numbers.span(rest[0].removeprefix(":"), "-") if rest else None
    if len(rest) > 1 or (rest and span is None):
        return None
    return Translate(manip, To.OWN, ports=span, random=bool({"random", "fully-random"} & set(words)))


def _mark(words: list[str]) -> Action | None:
    """`meta mark set VALUE`, the other mark, or this one with bits masked and flipped."""
    fields = {"meta": "mark", "ct": "connection_mark"}
    field, rest = fields[words[0]], words[3:]
    if len(rest) == 1 and (value := numbers.number(rest[0])) is not None:
        return Assign(field, value)
    if len(rest) == 2 and rest[1] == "mark" and rest[0] in fields:
        return Copy(fields[rest[0]], field) if fields[rest[0]] != field else None
    if (
        len(rest) != 4
        or fields.get(rest[0]) != field
        or rest[1] != "mark"
        or (value := numbers.number(rest[3])) is None
    ):
        return None
    if rest[2] in ("|", "or"):
        return Assign(field, value, value)
    return Assign(field, 0, ~value & 0xFFFFFFFF) if rest[2] in ("&", "and") else None


def sets_of(program_of: Program) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """The named sets by table."""
    return {table: dict(sets) for table, sets in program_of.native_sets}
