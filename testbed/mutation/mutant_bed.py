"""A bed that loads a mutant in place of its rules, and shows the rules as if they were loaded.

So a case detects a mutant by packets and counters, never by the text of the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from testbed.bed import Testbed
from testbed.bed_events import BedObserver, observing
from testbed.errors import RulesError
from testbed.kernel import canonical_rules
from testbed.kernel.namespace import Namespace
from testbed.mutation.aliases import RuleAliases
from testbed.mutation.injection import Injection
from testbed.observe.journey import Journey
from testbed.rules import AnyRuleset, environment
from testbed.rules.reading import CounterLine, CounterReading
from testbed.rules.ruleset import Ruleset
from testbed.topology import Topology


class MutantBed(Testbed):
    """A bed whose rules an injection changes; all that it shows has the names of the original rules."""

    def __init__(
        self, topology: Topology, ruleset: AnyRuleset, backend: str = "nft", injection: Injection | None = None
    ) -> None:
        self._injection = injection or Injection()
        self._given = ruleset
        self._aliases: RuleAliases | None = None
        changed = self._injection.to_load(ruleset)
        with self._noting_refusal(ruleset, changed):
            self._realise(environment.with_missing_bridges(topology, [ruleset]), changed, backend, None)

    @property
    def loaded(self) -> AnyRuleset:
        return self._given

    def ruleset(self) -> AnyRuleset:
        return self._given_rules() if self._named else super().ruleset()

    def words(self) -> Ruleset:
        return self._given_rules() if self._named else super().words()

    def counters(self) -> CounterReading:
        return self._injection.replay.reading(super().counters())

    def _load(self, ruleset: AnyRuleset, load: Callable[[Namespace, AnyRuleset], None]) -> None:
        changed = self._injection.to_load(ruleset)

        def load_changed(namespace: Namespace, rules: AnyRuleset) -> None:
            with self._noting_refusal(ruleset, changed):
                load(namespace, rules)
            self._given, self._aliases = ruleset, None

        super()._load(changed, load_changed)

    @contextmanager
    def _noting_refusal(self, given: AnyRuleset, changed: AnyRuleset) -> Iterator[None]:
        """Note the refusal of rules that were loaded in place of others."""
        try:
            yield
        except RulesError as error:
            if changed is not given:
                self._injection.refusal = error.what
            raise

    @property
    def _named(self) -> RuleAliases | None:
        """The aliases of the rules, or None if the loaded rules are the original ones."""
        if self._aliases is None and self._rules.loaded is not self._given:
            self._aliases = RuleAliases.of(self._given_rules(), self._rules.words(self._rules.counts()))
        return self._aliases

    def _given_rules(self) -> Ruleset:
        """Return the original rules in the kernel's words."""
        return canonical_rules.words_of(self.backend, self._given)

    def _named_reading(self, counted: CounterReading) -> CounterReading:
        return counted if (names := self._named) is None else names.reading(counted)

    def _named_line(self, line: CounterLine) -> CounterLine:
        return line if (names := self._named) is None else names.called.get(line, line)

    def _named_journey(self, journey: Journey) -> Journey:
        return journey if (names := self._named) is None else names.journey(journey)

    def _shown_journey(self, journey: Journey) -> Journey:
        return self._injection.replay.journey(super()._shown_journey(journey))


class _Bypasses(BedObserver):
    """Notes a bed that loads rules unchanged which the injection changes: the case made that bed by itself."""

    def __init__(self, injection: Injection) -> None:
        self._injection = injection

    def loaded(self, bed: Testbed) -> None:
        if not isinstance(bed, MutantBed) and self._injection.change(bed.loaded) is not None:
            self._injection.bypassed = bed.loaded.source


@contextmanager
def injected(injection: Injection) -> Iterator[None]:
    """Record the observations of the case that runs in the block."""
    with observing(injection.seen), observing(_Bypasses(injection)):
        yield
