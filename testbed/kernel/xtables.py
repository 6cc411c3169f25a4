"""Rule sets loaded into a namespace and read back by iptables' programs, which are the only interface.

There are two backends, one for each variant of iptables. Their names are those of iptables' version line: nft
(nf_tables) and legacy.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from testbed.errors import RulesError, TestbedError
from testbed.kernel import ipsets, legacy_counters, nfnetlink, nft_counters
from testbed.kernel.counts import ChainCounts, CounterReader, Counts
from testbed.kernel.loading import at_work
from testbed.kernel.namespace import Namespace
from testbed.kernel.programs import LEGACY, NFT
from testbed.kernel.refusals import complaint
from testbed.rules import save
from testbed.rules.loaded import BaseChain, LoadedChain, LoadedRuleset
from testbed.rules.origin import KERNEL
from testbed.rules.ruleset import IPV6, Chain, Ruleset, Table


@dataclass(frozen=True, slots=True)
class Iptables:
    """A variant of iptables; `program` is the prefix of its commands' names."""

    name: str
    program: str
    open_counters: Callable[[], CounterReader]

    def load(self, namespace: Namespace, ruleset: Ruleset) -> None:
        """Replace the namespace's rules; raises RulesError with file, line and iptables' complaint, and then changes
        nothing.

        The programs commit table by table, set by set and family by family. So the rules are loaded into a scratch
        namespace first. A refusal there changes nothing here, not even the state that rules keep. If loading fails
        after that (by an interrupt or lack of memory), the previous rules, counters and sets are restored.
        """
        _with_a_table(ruleset)
        self._rehearse(namespace, ruleset)
        rules, sets = self._saved(namespace, (False, True), counted=True), ipsets.saved(namespace, ruleset)
        try:
            self.replace(namespace, ruleset)
        except BaseException:
            self._replace(namespace, rules, counted=True)
            ipsets.put_back(namespace, sets)
            raise

    def replace(self, namespace: Namespace, ruleset: Ruleset) -> None:
        """Replace the namespace's rules; raises what `load` raises, and what was loaded by then stays.

        Tables that the rule set lacks are deleted; legacy tables stay, empty.
        """
        _with_a_table(ruleset)
        self._replace(namespace, ruleset)

    def _replace(self, namespace: Namespace, ruleset: Ruleset, counted: bool = False) -> None:
        wanted = {table.name for table in ruleset.tables}
        with namespace.run(self.open_counters) as counters:
            there = counters.read().chains
        strange = dict.fromkeys(table for table, _ in there if table not in wanted)
        emptied = [_emptied(table, there) if self.name == LEGACY else Table(table, ()) for table in strange]
        with self._loading(namespace, ruleset.beside(Ruleset(tuple(emptied))), counted):
            pass

    def _rehearse(self, namespace: Namespace, ruleset: Ruleset) -> None:
        """Load a rule set into an empty namespace that has the same sets; raises what loading raises."""
        scratch = Namespace.create("rehearsal")
        try:
            ipsets.put_back(scratch, ipsets.saved(namespace, ruleset))
            with self.loading(scratch, ruleset):
                pass
        finally:
            scratch.close()

    @contextmanager
    def loading(self, namespace: Namespace, ruleset: Ruleset) -> Iterator[None]:
        """Load while the block runs; the rules are loaded when the block ends. Raises what `load` raises."""
        _with_a_table(ruleset)
        with self._loading(namespace, ruleset):
            yield

    @contextmanager
    def _loading(self, namespace: Namespace, ruleset: Ruleset, counted: bool = False) -> Iterator[None]:
        """Load while the block runs; `counted` says whether to load the counters in the text."""
        ipsets.load(namespace, ruleset)
        with ExitStack() as at_once:
            for ipv6 in sorted({table.of_ipv6 for table in ruleset.tables}):
                at_once.enter_context(self._restoring(namespace, ruleset, ipv6, counted))
            yield

    @contextmanager
    def _restoring(self, namespace: Namespace, ruleset: Ruleset, ipv6: bool, counted: bool) -> Iterator[None]:
        program, options = self._program("restore", ipv6), ["--counters"] if counted else []
        with self._lock() as extra:
            restoring = namespace.start([program, *options], save.render_family(ruleset, ipv6), **extra)
        with at_work(restoring, lambda said: complaint(ruleset, program, said)):
            yield

    def saved(self, namespace: Namespace) -> Ruleset:
        """Return the namespace's rules in the kernel's own words, IPv4 before IPv6."""
        return self._saved(namespace, (False, True))

    def words(self, namespace: Namespace, counts: Counts) -> Ruleset:
        """Return the rules of a reading; rules and counters of a chain are in the same order."""
        return self._saved(namespace, sorted({table.startswith(IPV6) for table, _ in counts.chains}))

    def book(self, namespace: Namespace) -> LoadedRuleset:
        """Return the namespace's rules under the names that its trace uses."""
        with namespace.run(self.open_counters) as counters:
            counts = counters.read()
        return LoadedRuleset(_chains(self.words(namespace, counts), counts, by_handle=self.name == NFT))

    def _saved(self, namespace: Namespace, families: Iterable[bool], counted: bool = False) -> Ruleset:
        options = ["--counters"] if counted else []
        with self._lock() as extra:
            texts = [namespace.command([self._program("save", ipv6), *options], **extra).stdout for ipv6 in families]
        return replace(save.parse("".join(texts), self._program("save", ipv6=False)), origin=KERNEL)

    def _program(self, verb: str, ipv6: bool) -> str:
        return f"{self.program.replace('ip', 'ip6', 1) if ipv6 else self.program}-{verb}"

    @contextmanager
    def _lock(self) -> Iterator[dict[str, Any]]:
        """Yield the process options that give a program its own lock file.

        iptables-legacy locks a file that all namespaces of a machine share. A file in memory belongs to one call and
        ends with it.
        """
        lock = os.memfd_create("xtables-lock")
        try:
            yield {"env": {**os.environ, "XTABLES_LOCKFILE": f"/proc/self/fd/{lock}"}, "pass_fds": (lock,)}
        finally:
            os.close(lock)


def _chains(words: Ruleset, counts: Counts, by_handle: bool) -> Iterator[LoadedChain]:
    """Yield each chain that exists."""
    for table in words.tables:
        family, name = ("ip6" if table.of_ipv6 else "ip"), table.name.removeprefix(IPV6)
        for chain in table.chains:
            counted = counts.chains.get((table.name, chain.name))
            base = (
                BaseChain.of_iptables(name, chain.name, chain.policy, by_handle) if chain.policy is not None else None
            )
            if counted is not None:
                rules = table.rules_of(chain.name)
                handles = counted.handles if by_handle else None
                yield LoadedChain(f"{family} {name}", table.name, chain.name, rules, handles, base)


def _with_a_table(ruleset: Ruleset) -> None:
    if not ruleset.tables:
        raise RulesError(f"{ruleset.source} has no table.", "Give what iptables-save prints on a Docker host.")


def _emptied(table: str, there: Mapping[tuple[str, str], ChainCounts]) -> Table:
    """Return a table with its built-in chains only; iptables-nft deletes a table that is declared without chains."""
    own = [(chain, counted) for (of_table, chain), counted in there.items() if of_table == table]
    return Table(table, tuple(Chain(chain, "ACCEPT") for chain, counted in own if counted.policy is not None))


def _nft() -> CounterReader:
    opened = nfnetlink.open_socket()
    return CounterReader(nft_counters.IptablesCounters(opened).read, opened.close)


def _legacy() -> CounterReader:
    families = legacy_counters.open_families()
    return CounterReader(partial(legacy_counters.read, families), partial(legacy_counters.close, families))


BACKENDS = {
    NFT: Iptables(NFT, "iptables-nft", _nft),
    LEGACY: Iptables(LEGACY, "iptables-legacy", _legacy),
}


def backend(name: str) -> Iptables:
    """Return the backend of that name; raises TestbedError that lists the backends."""
    if name not in BACKENDS:
        raise TestbedError(f"there is no backend {name}.", f"There are {', '.join(BACKENDS)}.")
    return BACKENDS[name]
