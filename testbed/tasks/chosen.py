"""The Docker host and the rules that a user asks for by options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testbed.capture.notes import NoteKind
from testbed.capture.twin import Twin
from testbed.capture.upgrade import with_engine
from testbed.described_host import DescribedHost
from testbed.docker import DockerHost, article
from testbed.docker.compose.project import compose_file_in
from testbed.docker.contradictions import contradictions
from testbed.docker.engines import DEFAULT_ENGINE, Engine, chosen_for
from testbed.docker.fitted import Fitted, fitted
from testbed.errors import TestbedError
from testbed.rules import AnyRuleset, rulefile
from testbed.tasks.console import console
from testbed.tasks.host_options import HostOptions, require_values
from testbed.tasks.working import working


@dataclass(frozen=True, slots=True)
class Chosen:
    """A Docker host, the text it was read from (None: the article's), and its rules.

    `contradictions` are sentences about published ports that rules which were given lead elsewhere than the host.
    `engine` is the generation whose rules these are, and that builds the host; empty: none. `backend` is the variant of
    iptables that a capture's rules were loaded by; empty: none is known.
    """

    host: DockerHost
    text: str | None
    rules: AnyRuleset
    contradictions: tuple[str, ...] = ()
    engine: str = ""
    backend: str = ""

    @property
    def fitted(self) -> Fitted:
        """The host with what the rules need of it, and what was added."""
        return fitted(self.host, [self.rules], described=self.text is not None)

    def warn(self) -> None:
        """Print the contradictions, before the answer."""
        _print_warnings(self.contradictions)


def warned(host: DockerHost, rules: AnyRuleset) -> tuple[str, ...]:
    """Print the contradictions between a host that was described and rules that were given, and return them."""
    found = tuple(contradictions(host, rules))
    _print_warnings(found)
    return found


def _print_warnings(sentences: tuple[str, ...]) -> None:
    for sentence in sentences:
        console(stderr=True).print(f"warning: {sentence}", soft_wrap=True)


def choose(host: HostOptions | None, engine: str | None, rules: str | None) -> Chosen:
    """What the options say; None: the option was not given.

    Raises TopologyError for a host that cannot be, RulesError for rules that cannot be read, TestbedError for an engine
    that is not known and for an option that is empty.
    """
    require_values(engine=engine, rules=rules)
    if host is None and (beside := compose_file_in(Path())) is not None:
        console(stderr=True).print(
            f"note: {beside} is here, and it is not asked; --host . takes it.", markup=False, soft_wrap=True
        )
    with working("reading the host and its rules"):
        return _chosen(host, engine, rules)


def _chosen(host: HostOptions | None, engine: str | None, rules: str | None) -> Chosen:
    described = host.described if host is not None else None
    if described is not None and described.twin is not None:
        return _of_twin(described.twin, described, engine, rules)
    docker_host = described.host if described is not None else article.HOST
    known = None if rules is not None else _engine(docker_host, host, engine)
    found = _rules(docker_host, host, engine, known) if rules is None else rulefile.read(rules)
    if known is not None:
        docker_host = known.built(docker_host)
    apart = contradictions(docker_host, found) if described is not None and rules is not None else ()
    text = described.text if described is not None else None
    return Chosen(docker_host, text, found, tuple(apart), known.name if known is not None else "")


def _of_twin(made: Twin, described: DescribedHost, engine: str | None, rules: str | None) -> Chosen:
    """A captured host with its own rules, those of a file, or those that another engine would write in their place.

    What the bed lacks of the host is among the contradictions, since an answer may be another on the host itself.
    """
    if rules is not None:
        found = rulefile.read(rules)
    elif engine is not None:
        found = with_engine(made, engine)
    elif made.rules is not None:
        found = made.rules
    else:
        raise TestbedError(
            f"{made.capture.source} has no rules.", "Give some with --rules FILE, or those of an engine with --engine."
        )
    apart = contradictions(described.host, found) if rules is not None else []
    lacking = [note.text for note in made.open if note.kind is NoteKind.MISSING]
    return Chosen(described.host, described.text, found, (*apart, *lacking), backend=made.backend)


def _engine(docker_host: DockerHost, host: HostOptions | None, engine: str | None) -> Engine[AnyRuleset] | None:
    """The engine that is asked for, or stands for none; None: the article's own rules."""
    return None if host is None and engine is None else chosen_for(docker_host, engine or DEFAULT_ENGINE)


def _rules(
    docker_host: DockerHost, host: HostOptions | None, engine: str | None, known: Engine[AnyRuleset] | None
) -> AnyRuleset:
    if known is None:
        return article.ruleset()
    wanted = engine or DEFAULT_ENGINE
    written = known.rules(docker_host)
    same = "" if known.name.startswith(wanted.removeprefix("v")) else f" ({wanted} writes the same)"
    return written.named(f"{written.source} for {host.short if host else 'the article'}{same}")
