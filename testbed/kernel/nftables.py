"""Rule sets in nftables' own syntax, loaded into a namespace and read back by the program nft.

The kernel knows a rule by a handle, which is unique in its table while that exists (nf_tables_api.c:
nf_tables_alloc_handle). nft prints it beside the rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from testbed.errors import KernelRefused, RulesError
from testbed.kernel import checkpoints, nfnetlink, nft_chains, nft_counters
from testbed.kernel.counts import ChainCounts, CounterReader, Counts
from testbed.kernel.loading import at_work
from testbed.kernel.namespace import Namespace
from testbed.rules import nft
from testbed.rules.loaded import LoadedRuleset
from testbed.rules.nft import NftRuleset
from testbed.rules.origin import KERNEL
from testbed.rules.ruleset import Chain, Rule, Ruleset, Table

_FLUSH = "flush ruleset\n"  # in the same transaction as the rules after it: nft commits a file as a whole
_STDIN = "/dev/stdin"
_COMPLAINT = re.compile(r"^(?P<file>.+):(?P<line>\d+):[\d-]+: Error: (?P<said>.*)\n(?P<shown>.*)$", re.MULTILINE)
_XTABLES = "unsupported xtables compat expression"  # nft prints such a rule of iptables-nft, but cannot load it
_OF_IPTABLES = "iptables-nft made that rule: give what iptables-save and ip6tables-save print, instead."
_OTHERS = "Correct that line, or a brace before it, or make what it names: a table, a chain, a set."
_OURS = re.compile(rf"^table (?:inet|netdev) {checkpoints.TABLE} \{{.*?^\}}\n", re.MULTILINE | re.DOTALL)
_NAMELESS_CHAIN = "__chain"  # nft's name for the chain of `jump { ... }` (src/evaluate.c)


@dataclass(frozen=True, slots=True)
class Nftables:
    """The backend of native rule sets."""

    name: str = "nftables"
    program: str = "nft"

    @property
    def open_counters(self) -> Callable[[], CounterReader]:
        return _counters

    def load(self, namespace: Namespace, ruleset: NftRuleset) -> None:
        """Replace all rules of the namespace; raises RulesError with file, line and nft's complaint, and then changes
        nothing.
        """
        self.replace(namespace, ruleset)

    def replace(self, namespace: Namespace, ruleset: NftRuleset) -> None:
        """Replace all rules of the namespace in one transaction, so that a refused rule set changes nothing."""
        with self.loading(namespace, ruleset):
            pass

    @contextmanager
    def loading(self, namespace: Namespace, ruleset: NftRuleset) -> Iterator[None]:
        """Load while the block runs; the rules are loaded when the block ends. Raises what `load` raises."""
        if ruleset.says_nothing:
            raise RulesError(f"{ruleset.source} has no rules.", "Give what `nft list ruleset` prints on a Docker host.")
        loading = namespace.start([self.program, "-f", "-"], _FLUSH + _with_an_end(ruleset.text))
        with at_work(loading, lambda said: _complaint(ruleset, said)):
            yield

    def saved(self, namespace: Namespace) -> NftRuleset:
        """Return the namespace's rules in the kernel's own words, without their counters."""
        return NftRuleset(self._listing(namespace), "nft list ruleset", KERNEL)

    def words(self, namespace: Namespace, counts: Counts) -> Ruleset:
        """Return the counted rules as `-A CHAIN statements` without the counter; tables are called `FAMILY NAME`.

        Raises RulesError for a counter in a chain without a name, since nft prints no handles there.
        """
        known = nft.by_handle(self._listing(namespace, "-a"))
        tables: dict[str, list[Chain | Rule]] = {}
        for (table, chain), counted in counts.chains.items():
            tables.setdefault(table, []).extend([Chain(chain), *_named(known, table, chain, counted)])
        return Ruleset(tuple(Table(name, tuple(entries)) for name, entries in tables.items()), "nft list ruleset")

    def book(self, namespace: Namespace) -> LoadedRuleset:
        """Return the namespace's rules under the names that its trace uses."""
        words = nft.by_handle(self._listing(namespace, "-a"))
        return namespace.run(lambda: nft_chains.read(nfnetlink.open_socket(), words))

    def _listing(self, namespace: Namespace, *options: str) -> str:
        """Return nft's listing without state (-s: counters, used quotas) and without the checkpoint tables."""
        listed = namespace.command([self.program, *options, "-s", "list", "ruleset"])
        if listed.returncode:
            raise KernelRefused(f"nft cannot list the rules: {listed.stderr.strip()}.")
        return _OURS.sub("", listed.stdout)


NFTABLES = Nftables()


def _with_an_end(text: str) -> str:
    """Return the text with a newline at its end: nft parses a comment without one as statements."""
    return text if text.endswith("\n") else f"{text}\n"


def _counters() -> CounterReader:
    opened = nfnetlink.open_socket()
    return CounterReader(nft_counters.NativeCounters(opened, here=object()).read, opened.close)


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
    """Return the error for nft's first complaint; later complaints that follow from it are left out."""
    if not (found := _COMPLAINT.search(stderr)):
        return RulesError(f"{ruleset.source} is refused by nft: {stderr.strip()}", "Correct the rules.")
    source, number, line = found["file"], int(found["line"]), found["shown"]
    if source == _STDIN:
        source, number = ruleset.source, number - _FLUSH.count("\n")
        line = "".join(ruleset.text.split("\n")[number - 1 : number])
    shown = repr(line.strip()) if line.strip() else "the end of the file"
    return RulesError(
        f"{source}, line {number}: {shown} is refused by nft: {found['said'].rstrip('.?')}.",
        _OF_IPTABLES if _XTABLES in found["said"] else _OTHERS,
    )
