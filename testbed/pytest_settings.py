"""The host, the engine and the rules that a test asks for, by its marker, an option or the ini file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.bed_parts import Host, Rules, described, read_rules
from testbed.docker import DockerHost, article
from testbed.docker.engines import DEFAULT_ENGINE, chosen_for, engine_or_native
from testbed.errors import TestbedError
from testbed.rules import AnyRuleset
from testbed.topology import Topology

MARKER = "testbed"
ARGUMENTS = ("host", "engine", "rules", "backend")
_USAGE = "Write @pytest.mark.testbed(host=, engine=, rules=, backend=), each of them or none."


@dataclass(frozen=True, slots=True)
class BedSettings:
    """What a test's beds are made of; None: not asked for."""

    host: Host | None = None
    engine: str | None = None
    rules: Rules | None = None

    def topology_and_rules(self) -> tuple[Topology, AnyRuleset, DockerHost | None]:
        """Return the topology, the rules, and the Docker host that the topology was made of, if any.

        Without anything it is the article's host with the article's rules; a host without rules has those of the
        engine, by default of DEFAULT_ENGINE.
        """
        host = described(self.host) if self.host is not None else None
        if isinstance(host, Topology):
            return host, self.read_rules or article.ruleset(), None
        if (rules := self.read_rules) is not None:
            known = host or article.HOST
            return article.topology(known), rules, known
        if host is None and self.engine is None:
            return article.topology(), article.ruleset(), article.HOST
        engine = chosen_for(host or article.HOST, self.engine or DEFAULT_ENGINE)
        built = engine.built(host or article.HOST)
        return article.topology(built), engine.rules(host or article.HOST), built

    def with_(self, host: Host | None, rules: Rules | None, engine: str | None) -> BedSettings:
        """Return the settings of one bed, for which a host, rules or an engine are given; None: they are not.

        Another host or engine has the engine's rules; a Topology, which no engine knows, keeps the rules of the test.
        """
        kept = self.rules if (host is None and engine is None) or isinstance(host, Topology) else None
        return BedSettings(
            self.host if host is None else host,
            engine or self.engine,
            kept if rules is None else rules,
        )

    @property
    def read_rules(self) -> AnyRuleset | None:
        """The rules, read from their file; None if none are asked for."""
        return read_rules(self.rules) if self.rules is not None else None


def of_node(node: pytest.Item | pytest.Collector) -> BedSettings:
    """Return the settings of a test: an option comes before the marker, the marker before the ini file."""
    config, beside = node.config, node.path.parent
    marked = dict(marker.kwargs) if (marker := node.get_closest_marker(MARKER)) is not None else {}
    for name in ("host", "rules"):
        if isinstance(marked.get(name), str | Path):
            marked[name] = _beside(marked[name], beside, config)
        elif marked.get(name) is None and not (name == "rules" and marked.get("engine")):
            marked[name] = _of_ini(name, config)
    if (path := config.getoption("--testbed-rules")) is not None:
        marked["rules"] = path
    engine = marked.get("engine") or config.getini("testbed_engine") or None
    return BedSettings(marked.get("host"), engine, marked.get("rules"))


def _of_ini(name: str, config: pytest.Config) -> str | Path | None:
    """Return the path that the ini file names; None if it names none."""
    written = config.getini(f"testbed_{name}")
    return _beside(written, (config.inipath or config.rootpath / "pytest.ini").parent, config) if written else None


def _beside(path: str | Path, folder: Path, config: pytest.Config) -> str | Path:
    """Return a path from the folder of the file that names it, or from the root of the tests."""
    for start in (folder, config.rootpath):
        if (found := start / path).exists():
            return found
    return path


def require_usable(node: pytest.Item) -> None:
    """Raise TestbedError for the marker of a test with arguments that it does not take, or of another type."""
    for marker in node.iter_markers(MARKER):
        place = f"the marker testbed of {node.nodeid}"
        if marker.args:
            raise TestbedError(f"{place} has {marker.args[0]!r} without a name.", _USAGE)
        if unknown := [name for name in marker.kwargs if name not in ARGUMENTS]:
            raise TestbedError(f"{place} has no argument {unknown[0]!r}.", _USAGE)
        for name, kinds, what in (
            ("host", DockerHost | Topology | str | Path, "a DockerHost, a Topology or the path of a host file"),
            ("engine", str, "a version as text"),
            ("backend", str, "nft, legacy or all"),
        ):
            if not isinstance(value := marker.kwargs.get(name), kinds | None):
                raise TestbedError(f"{place} has {name}={value!r}.", f"Give {what}.")
        rules = marker.kwargs.get("rules")
        if not (rules is None or isinstance(rules, str | Path) or hasattr(rules, "as_iptables")):
            raise TestbedError(f"{place} has rules={rules!r}.", "Give a rule set or the path of a rule file.")
        if engine := marker.kwargs.get("engine"):
            engine_or_native(engine)
