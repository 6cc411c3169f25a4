"""Engine generations: how each Docker version writes its rules for a host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from testbed.docker.engines import classic
from testbed.docker.engines.forward import Generation
from testbed.docker.host import DockerHost
from testbed.errors import TestbedError
from testbed.rules.ruleset import Ruleset

_Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Engine:
    """A generation: the first version that writes its rules so, what it was read from, and how."""

    name: str
    since: _Version
    known_from: str
    rules: Callable[[DockerHost], Ruleset]


_LISTINGS = "moby's listings of its rules"


def _generation(since: _Version, known_from: str, generation: Generation) -> Engine:
    return Engine(generation.name, since, known_from, generation.rules)


ENGINES = (
    Engine("20.10", (20, 10), "real engine 20.10.24", classic.rules),
    Engine("26.1", (26, 1), "real engine 26.1.5", partial(classic.rules, name="26.1")),
    _generation((28, 0, 0), _LISTINGS, Generation("28.0.0", whole_containers=False, user_returns=True, by_set=True)),
    _generation((28, 0, 1), _LISTINGS, Generation("28.0.1", whole_containers=False, user_returns=True)),
    _generation((28, 2, 0), _LISTINGS, Generation("28.2.0", whole_containers=True, user_returns=True)),
    _generation(
        (28, 2, 2),
        f"{_LISTINGS}, real engine 28.5.2",
        Generation("28.2.2", whole_containers=True, user_returns=False),
    ),
    _generation((29,), _LISTINGS, Generation("29", whole_containers=True, user_returns=False, isolation=False)),
)


def engine(version: str) -> Engine:
    """The generation that a version belongs to: `20.10`, `26.1.5`, `28` (its last), `28.0.1`.

    TestbedError for what is no version, and for one before 20.10.
    """
    try:
        wanted = tuple(int(part) for part in version.removeprefix("v").split("."))
    except ValueError as error:
        raise TestbedError(f"{version} is no version of Docker's engine.", _known()) from error
    last = (*wanted, 999, 999)[:3]
    found = [known for known in ENGINES if known.since <= last]
    if not found:
        raise TestbedError(f"engine {version} is older than what is known.", _known())
    return found[-1]


def _known() -> str:
    return f"Known generations begin with {', '.join(known.name for known in ENGINES)}."
