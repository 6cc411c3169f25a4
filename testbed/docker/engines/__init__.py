"""Engine generations: how each Docker version writes its rules for a host."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from testbed.docker.engines import native
from testbed.docker.engines.building import AS_BUILT, Building
from testbed.docker.engines.classic import Classic
from testbed.docker.engines.forward import Generation
from testbed.docker.host import DockerHost
from testbed.errors import TestbedError
from testbed.rules.ruleset import AnyRuleset, Ruleset

DEFAULT_ENGINE = "28"  # the newest that a real engine was compared with
LATEST = "latest"  # the newest generation
_Version = tuple[int, ...]
_VERSION = re.compile(r"v?(\d{1,3})(?:\.(\d{1,3})(?:\.(\d{1,3}))?)?", re.ASCII)
_MINORS = {20: 10, 23: 0, 24: 0, 25: 0, 26: 1, 27: 5, 28: 5, 29: 99}  # the last of each; of 29 there are new ones


R = TypeVar("R", bound=AnyRuleset, covariant=True)


@dataclass(frozen=True, slots=True)
class Engine(Generic[R]):
    """A generation: the first version that writes its rules so, what it was read from, and how.

    `built` gives a host as such an engine builds it: beds are made of that one.
    """

    name: str
    since: _Version
    known_from: str
    rules: Callable[[DockerHost], R]
    building: Building = AS_BUILT

    def built(self, host: DockerHost) -> DockerHost:
        """The host as this engine builds its networks."""
        return self.building.built(host)


_LISTINGS, _SOURCE = "moby's listings of its rules", "moby's source"


_ROUTES_INSIDE = Building(default_route=True)


def _generation(
    since: _Version, known_from: str, generation: Classic | Generation, building: Building = AS_BUILT
) -> Engine[Ruleset]:
    return Engine(generation.name, since, known_from, generation.rules, building)


ENGINES = (
    _generation(
        (20, 10),
        "real engine 20.10.24",
        Classic("20.10", user6=False, guarded6=False, own_snat6=False),
        _ROUTES_INSIDE,
    ),
    _generation((23,), _SOURCE, Classic("23.0", guarded6=False, own_snat6=False), _ROUTES_INSIDE),
    _generation((24, 0, 6), _SOURCE, Classic("24.0.6", own_snat6=False), _ROUTES_INSIDE),
    _generation((25,), _SOURCE, Classic("25.0.0"), Building(bridge_address=False)),
    _generation((25, 0, 4), _SOURCE, Classic("25.0.4")),
    _generation((26, 1), "real engine 26.1.5", Classic("26.1")),
    _generation((27,), _SOURCE, Classic("27", routed=True)),
    _generation(
        (28, 0, 0),
        _LISTINGS,
        Generation("28.0.0", whole_containers=False, user_returns=True, by_set=True, routed_returns=True),
    ),
    _generation(
        (28, 0, 1), _LISTINGS, Generation("28.0.1", whole_containers=False, user_returns=True, routed_returns=True)
    ),
    _generation((28, 0, 2), _LISTINGS, Generation("28.0.2", whole_containers=False, user_returns=True)),
    _generation((28, 2, 0), _LISTINGS, Generation("28.2.0", whole_containers=True, user_returns=True)),
    _generation(
        (28, 2, 2),
        f"{_LISTINGS}, real engine 28.5.2",
        Generation("28.2.2", whole_containers=True, user_returns=False),
    ),
    _generation((29,), _LISTINGS, Generation("29", whole_containers=True, user_returns=False, isolation=False)),
)


NATIVE = Engine(native.NAME, (29,), _LISTINGS, native.rules)


def engine_or_native(version: str) -> Engine[AnyRuleset]:
    """The same, and by the name of 29-nftables the one that writes nftables' own rules; raises as `engine` does."""
    return NATIVE if version == NATIVE.name else engine(version)


def engine(version: str) -> Engine[Ruleset]:
    """The generation that a version belongs to: `20.10`, `26.1.5`, `28` (its last), `28.0.1`, `latest`.

    All write iptables' rules. TestbedError for what is no version, and for one before 20.10.
    """
    if not isinstance(version, str):
        raise TestbedError(f"{version!r} is no version of Docker's engine.", f'Write it as text: engine("{version}").')
    if version == LATEST:
        return ENGINES[-1]
    found = _VERSION.fullmatch(version)
    if found is None:
        raise TestbedError(f"{version!r} is no version of Docker's engine.", _known())
    wanted = tuple(int(part) for part in found.groups() if part is not None)
    last = (*wanted, 999, 999)[:3]
    before = [known for known in ENGINES if known.since <= last]
    if not before:
        raise TestbedError(f"engine {version} is older than what is known.", _known())
    if wanted[0] not in _MINORS or (len(wanted) > 1 and wanted[1] > _MINORS[wanted[0]]):
        raise TestbedError(f"there is no engine {version}, or it is newer than what is known.", _known())
    return before[-1]


def chosen_for(host: DockerHost, version: str) -> Engine[AnyRuleset]:
    """Return the generation of a version for a host, whose firewall backend counts.

    TestbedError for a version that is not known, and for all that the host asks for and this version does not know.
    """
    found = engine_or_native(version)
    _refuse_unknown(host, ENGINES[-1].name if version == LATEST else version)
    if host.nftables and found is ENGINES[-1]:
        return NATIVE
    if host.nftables is False and found is NATIVE:
        raise TestbedError(
            f"the daemon's firewall-backend is iptables, and {NATIVE.name} writes nftables.", "Change one of them."
        )
    return found


def _refuse_unknown(host: DockerHost, version: str) -> None:
    parts = version.removesuffix("-nftables").removeprefix("v").split(".")
    last = (*(int(part) for part in parts), 999, 999)[:3]
    unknown = [
        f"engine {version} does not know {asked.what} ({asked.place}), which came with {asked.version}."
        for asked in host.requirements
        if asked.since > last
    ]
    if unknown:
        raise TestbedError(" ".join(unknown), "Choose a newer engine, or leave that out.")


def _known() -> str:
    return f"Known generations begin with {', '.join(known.name for known in ENGINES)}; and there is {NATIVE.name}."
