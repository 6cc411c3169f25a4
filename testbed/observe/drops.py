"""Prove a drop by counters: the one rule or policy that counted the packet and drops what it counts.

The counters of rules that drop, and of policies DROP, do not change while packets are delivered. So one reading before
many packets is enough to tell which of them dropped the first packet that is not delivered.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from testbed.rules.loaded import LoadedChain, LoadedRuleset
from testbed.rules.reading import CounterLine, CounterReading
from testbed.rules.ruleset import Rule

_INCOMING = {"INGRESS", "PREROUTING", "INPUT", "FORWARD"}  # the hooks that the answers of the host do not pass
_NO_STATEMENT = re.compile(r'"[^"]*"|\{[^{}]*\}')
_NATIVE_DROP = re.compile(r"(?<!\S)(drop|reject)(?!\S)")
_ANYWHERE = re.compile(r"\b(?:drop|reject)\b")
_LEADS_TO = re.compile(r"(?:-j|-g|--jump|--goto|\bjump|\bgoto) (\S+?)(?=[\s,}]|$)")
_REJECTS = ("REJECT", "reject")


@dataclass(frozen=True, slots=True)
class CountedDrop:
    """The line that counted and dropped a packet; `rejects` says that it sends an answer too."""

    line: CounterLine
    rejects: bool


@dataclass(frozen=True, slots=True)
class DropProof:
    """What counters prove about a packet that was not delivered.

    `by` is the line that dropped it; None if no rule and no policy did, or, with a text in `open_`, if the counters
    leave it open.
    """

    by: CountedDrop | None = None
    open_: str = ""


class DroppingLines:
    """The rules and policies of a rule set that drop what they count.

    `complete` says that no other rule and policy drops: each of them has a counter.
    """

    def __init__(self, loaded: LoadedRuleset, counting: Iterable[CounterLine], native: bool) -> None:
        self._lines: dict[CounterLine, bool] = {}
        self._incoming: set[CounterLine] = set()
        self.complete = True
        counts = set(counting)
        hooks = _hooks(loaded)
        for chain in loaded:
            for line, rejects in _dropping(chain, native):
                if line not in counts:
                    self.complete = False
                    continue
                self._lines[line] = rejects
                if hooks[chain.table, chain.name] <= _INCOMING:
                    self._incoming.add(line)
            self.complete &= not (native and any(_may_drop_too(rule) for rule in chain.rules))

    def proof(self, counted: CounterReading, length: int) -> DropProof:
        """Return what the counters since before the packet prove; `length` is that of the packet."""
        moved = [(line, counters) for line, counters in counted.moved if line in self._lines]
        if not moved:
            return DropProof(open_="" if self.complete else "some rules that drop packets have no counter")
        (line, counters), *more = moved
        if more or (counters.packets, counters.bytes) != (1, length) or line not in self._incoming:
            named = " and ".join(f"{line} {counters}" for line, counters in moved)
            return DropProof(open_=f"these counted, for this packet or for others: {named}")
        return DropProof(CountedDrop(line, self._lines[line]))


def _dropping(chain: LoadedChain, native: bool) -> Iterator[tuple[CounterLine, bool]]:
    """Yield the rules of a chain, and its policy, that drop; with each whether it sends an answer."""
    times: defaultdict[str, int] = defaultdict(int)
    for rule in chain.rules:
        line = CounterLine(chain.table, rule.text, times[rule.text])
        times[rule.text] += 1
        found = _NATIVE_DROP.search(_NO_STATEMENT.sub("", rule.spec)) if native else None
        verdict = found[1] if found is not None else "" if native else rule.target
        if verdict in ("DROP", "drop", *_REJECTS):
            yield line, verdict in _REJECTS
    if chain.base is not None and chain.base.policy.upper() == "DROP":
        yield CounterLine(chain.table, f":{chain.name} DROP"), False


def _may_drop_too(rule: Rule) -> bool:
    """Return whether a native rule drops only a part of what it counts: by a verdict map."""
    outside = re.sub(r'"[^"]*"', "", rule.spec)
    return _ANYWHERE.search(outside) is not None and _NATIVE_DROP.search(_NO_STATEMENT.sub("", rule.spec)) is None


def _hooks(loaded: LoadedRuleset) -> Mapping[tuple[str, str], set[str]]:
    """Return the hooks from which packets reach each chain."""
    chains = {(chain.table, chain.name): chain for chain in loaded}
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for base in chains.values():
        if base.base is None:
            continue
        waiting = [base]
        while waiting:
            chain = waiting.pop()
            if base.base.hook in found[chain.table, chain.name]:
                continue
            found[chain.table, chain.name].add(base.base.hook)
            names = (name for rule in chain.rules for name in _LEADS_TO.findall(rule.spec))
            waiting += [chains[chain.table, name] for name in names if (chain.table, name) in chains]
    return found
