"""Rule sets in nftables' own syntax put into a namespace and read back, by the program nft.

A rule is known to the kernel by a handle, unique in its table for as long as that exists (nf_tables_api.c:
nf_tables_alloc_handle); nft prints it beside the words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from testbed.errors import KernelRefused, RulesError
from testbed.kernel import checkpoints, nfnetlink, nft_chains, nft_counters
from testbed.kernel.counts import ChainCounts, Counts
from testbed.kernel.loading import at_work
from testbed.kernel.namespace import Namespace
from testbed.rules import nft
from testbed.rules.loaded import LoadedRuleset
from testbed.rules.nft import NftRuleset
from testbed.rules.ruleset import Chain, Rule, Ruleset, Table

_FLUSH = "flush ruleset\n"  # in the same transaction as what follows: nft commits a file as a whole
_STDIN = "/dev/stdin"
_COMPLAINT = re.compile(r"^(?P<file>.+):(?P<line>\d+):[\d-]+: Error: (?P<said>.*)\n(?P<shown>.*)$", re.MULTILINE)
_XTABLES = "unsupported xtables compat expression"  # nft prints such a rule of iptables-nft's, and cannot read it
_OF_IPTABLES = "iptables-nft made that rule: give what iptables-save and ip6tables-save print, instead."
_OTHERS = "Correct that line, or a brace before it, or make what it names: a table, a chain, a set."
_OURS = re.compile(rf"^table (?:inet|netdev) {checkpoints.TABLE} \{{.*?^\}}\n", re.MULTILINE | re.DOTALL)
_NAMELESS_CHAIN = "__chain"  # what nft calls the chain of `jump { ... }` (src/evaluate.c)


@dataclass(frozen=True, slots=True)
class Nftables:
    """The backend of native rule sets."""

    name: str = "nftables"
    program: str = "nft"

    @property
    def open_counters(self) -> Callable[[], Callable[[], Counts]]:
        return _counters

    def load(self, namespace: Namespace, ruleset: NftRuleset) -> None:
        """Replace all rules of the namespace; RulesError with file, line and nft's own complaint, nothing changed."""
        self.replace(namespace, ruleset)

    def replace(self, namespace: Namespace, ruleset: NftRuleset) -> None:
        """Replace all rules of the namespace: one transaction, so that a refused rule set changes nothing."""
        with self.loading(namespace, ruleset):
            pass

    @contextmanager
    def loading(self, namespace: Namespace, ruleset: NftRuleset) -> Iterator[None]:
        """Load while the block runs; the rules are there when it is left. Raises what `load` raises."""
        if ruleset.says_nothing:
            raise RulesError(f"{ruleset.source} has no rules.", "Give what `nft list ruleset` prints on a Docker host.")
        loading = namespace.start([self.program, "-f", "-"], _FLUSH + _with_an_end(ruleset.rendered))
        with at_work(loading, lambda said: _complaint(ruleset, said)):
            yield

    def saved(self, namespace: Namespace) -> NftRuleset:
        """The namespace's rules in the kernel's own words, without what they have counted."""
        return NftRuleset(self._listing(namespace), "nft list ruleset")

    def words(self, namespace: Namespace, counts: Counts) -> Ruleset:
        """The rules that were counted, as `-A CHAIN statements` without the counter; tables are called `FAMILY NAME`.

        RulesError for a counter in a chain without a name: nft says no handles there.
        """
        known = nft.by_handle(self._listing(namespace, "-a"))
        tables: dict[str, list[Chain | Rule]] = {}
        for (table, chain), counted in counts.chains.items():
            tables.setdefault(table, []).extend([Chain(chain), *_named(known, table, chain, counted)])
        return Ruleset(tuple(Table(name, tuple(entries)) for name, entries in tables.items()), "nft list ruleset")

    def book(self, namespace: Namespace) -> LoadedRuleset:
        """The namespace's rules as its trace speaks of them."""
        words = nft.by_handle(self._listing(namespace, "-a"))
        return namespace.run(lambda: nft_chains.read(nfnetlink.open_socket(), words))

    def _listing(self, namespace: Namespace, *options: str) -> str:
        """What nft lists, without state (-s): counters, used quotas; and without our own checkpoints."""
        listed = namespace.command([self.program, *options, "-s", "list", "ruleset"])
        if listed.returncode:
            raise KernelRefused(f"nft cannot list the rules: {listed.stderr.strip()}.")
        return _OURS.sub("", listed.stdout)


NFTABLES = Nftables()


def _with_an_end(text: str) -> str:
    """A text whose last line is ended: nft takes a comment without a line's end for statements."""
    return text if text.endswith("\n") else f"{text}\n"


def _counters() -> Callable[[], Counts]:
    return nft_counters.NativeCounters(nfnetlink.open_socket(), here=object()).read


def _named(known: Mapping[tuple[str, int], str], table: str, chain: str, counted: ChainCounts) -> Iterator[Rule]:
    if chain.startswith(_NAMELESS_CHAIN):
        raise RulesError(
            f"table {table} has a counter in a chain without a name (`jump {{ ... }}`), where it cannot be told whose.",
            "Give that chain a name.",
        )
    for handle in counted.handles:
        if (table, handle) not in known:
            raise KernelRefused("the rules changed while their counters were read.", "Read them again.")
        yield Rule(chain, known[table, handle])


def _complaint(ruleset: NftRuleset, stderr: str) -> RulesError:
    """The first thing that nft says is wrong; what follows from it is left out."""
    if not (found := _COMPLAINT.search(stderr)):
        return RulesError(f"{ruleset.source} is refused by nft: {stderr.strip()}", "Correct the rules.")
    source, number, line = found["file"], int(found["line"]), found["shown"]
    if source == _STDIN:
        source, number = ruleset.source, number - _FLUSH.count("\n")
        line = "".join(ruleset.rendered.split("\n")[number - 1 : number])
    shown = repr(line.strip()) if line.strip() else "the end of the file"
    return RulesError(
        f"{source}, line {number}: {shown} is refused by nft: {found['said'].rstrip('.?')}.",
        _OF_IPTABLES if _XTABLES in found["said"] else _OTHERS,
    )
