"""Cross-check of two observations of the same packets: the trace and the rules' counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from testbed.errors import Disagreement
from testbed.observe.journey import ChainTraversal, Journey
from testbed.observe.verdict import ChainEnd
from testbed.rules.counters import ZERO, Counters
from testbed.rules.reading import CounterLine, CounterReading

_LENGTHENS = "TCPMSS"  # adds the option where a SYN has none (tcpmss_mangle_packet, net/netfilter/xt_TCPMSS.c)
_FINAL = (ChainEnd.ACCEPT, ChainEnd.DROP, ChainEnd.QUEUE, ChainEnd.STOLEN)


def verify(journeys: Iterable[Journey], counted: CounterReading, counts_before_the_end: bool = False) -> None:
    """Raise Disagreement if the rules did not count exactly the traced packets.

    `counts_before_the_end`: rules may count although a statement behind the counter does not match (nftables).
    """
    passed = list(journeys)
    longer = frozenset(line for journey in passed for _, hook in journey.hooks for line in lengthened(hook.chains))
    agree(_by_line(passed), counted, counts_before_the_end, longer)
    _conserved(passed)


def agree(
    traced: Mapping[CounterLine, Counters],
    counted: CounterReading,
    counts_before_the_end: bool = False,
    longer: Collection[CounterLine] = (),
) -> None:
    """Raise Disagreement if a line did not count the traced packets; a line missing in `traced` must have counted none.

    For the lines in `longer` only the number of packets is compared: an earlier rule may have lengthened a packet.
    """
    for line, seen in counted:
        expected = traced.get(line, ZERO)
        if line.is_policy and seen == ZERO:
            continue  # iptables-nft does not count for a policy that was never set
        if line in longer and seen.packets == expected.packets:
            continue
        if seen != expected and not (counts_before_the_end and seen > expected):
            raise Disagreement(
                f"{line.table} {line.text} counted {seen}, but {expected} was traced.",
                "Was there other traffic meanwhile?",
            )


def traced(journeys: Iterable[Journey], reading: CounterReading) -> CounterReading:
    """Return the counters that the rules of a reading must have by the trace."""
    expected = _by_line(journeys)
    return CounterReading({line: expected.get(line, ZERO) for line, _ in reading})


def _by_line(journeys: Iterable[Journey]) -> dict[CounterLine, Counters]:
    """Return the counters that rules and policies must have by the trace."""
    found: dict[CounterLine, Counters] = {}
    for journey in journeys:
        for _, hook in journey.hooks:
            for chain in hook.chains:
                for line in lines(chain):
                    found[line] = found.get(line, ZERO) + Counters(1, hook.header.length)
    return found


def lines(base: ChainTraversal) -> Iterator[CounterLine]:
    """Yield the rules and the policy that counted a packet in a base chain and in the chains it jumped to."""
    for chain, asked in base.every:
        if asked.matched:
            before = sum(other.rule.text == asked.rule.text for other in chain.asked if other.number < asked.number)
            yield CounterLine(chain.table, asked.rule.text, before)
    if base.policy:
        yield CounterLine(base.table, f":{base.chain} {base.policy}")


def lengthened(bases: Iterable[ChainTraversal]) -> Iterator[CounterLine]:
    """Yield the lines of a hook that counted a packet behind a rule that may have lengthened it (TCPMSS)."""
    behind = False
    for base in bases:
        for line in lines(base):
            if behind:
                yield line
            behind = behind or _LENGTHENS in line.text.split()


def _conserved(journeys: Iterable[Journey]) -> None:
    """Raise Disagreement unless as many packets left each chain (by verdict, return or end) as entered it."""
    entered: Counter[tuple[str, str]] = Counter()
    left: Counter[tuple[str, str]] = Counter()
    for journey in journeys:
        for _, hook in journey.hooks:
            for chain in chain_passes(hook.chains):
                entered[chain.table, chain.chain] += 1
                left[chain.table, chain.chain] += _ways_out(chain)
    wrong = [key for key, number in entered.items() if left[key] != number]
    if wrong:
        table, name = wrong[0]
        raise Disagreement(f"{entered[wrong[0]]} packets entered {table} {name}, and {left[wrong[0]]} left it.")


def chain_passes(bases: Iterable[ChainTraversal]) -> Iterator[ChainTraversal]:
    """Yield every traversal of a chain at a hook: the base chains and the chains that jumps led to."""
    for base in bases:
        yield base
        yield from (asked.into for _, asked in base.every if asked.into is not None)


def _ways_out(chain: ChainTraversal) -> int:
    """Return the number of verdicts that led out of the chain, or 1 if only the chain's end did, else 0."""
    final = [asked for asked in chain.asked if asked.matched and _leads_out(asked.verdict, asked.into)]
    return len(final) or int(bool(chain.policy) or chain.end is ChainEnd.END_OF_CHAIN)


def _leads_out(verdict: str, into: ChainTraversal | None) -> bool:
    if into is not None and not verdict.startswith("goto"):
        return into.end in _FINAL
    return verdict.partition(" ")[0] in (*_FINAL, "return", "goto")
