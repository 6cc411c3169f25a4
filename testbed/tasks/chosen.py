"""The Docker host and the rules that a user asks for by options."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from testbed.docker import DockerHost, article, hostfile
from testbed.docker.engines import engine_or_native
from testbed.rules import AnyRuleset, rulefile

HOST_HELP = "file that describes another Docker host (docs/engines.md)"
ENGINE_HELP = (
    "version of Docker whose rules it has: 20.10 to 29, 29-nftables (default: 20.10 for the article's host, else 28)"
)
RULES_HELP = (
    "file with another rule set: what iptables-save, ip6tables-save and `ipset save` print, behind each other or in"
    " files of their own with commas between them, or what `nft list ruleset` prints (docs/regression.md)"
)
BACKEND_HELP = "nft or legacy; a bed that is up with the other one is left alone"
NEWEST_MEASURED = "28"  # a real engine of it was held against the model


@dataclass(frozen=True, slots=True)
class Chosen:
    """A Docker host, the text it was read from (None: the article's), and its rules."""

    host: DockerHost
    text: str | None
    rules: AnyRuleset


def choose(host: str, engine: str, rules: str) -> Chosen:
    """What the options say; empty ones say nothing.

    Raises TopologyError for a host that cannot be, RulesError for rules that cannot be read, TestbedError for an engine
    that is not known.
    """
    text = hostfile.text_of_host(host) if host else None
    docker_host = hostfile.parse(text, host) if text is not None else article.HOST
    return Chosen(docker_host, text, _rules(docker_host, host, engine, rules))


def _rules(docker_host: DockerHost, host: str, engine: str, rules: str) -> AnyRuleset:
    if rules:
        return rulefile.read(rules)
    if not host and not engine:
        return article.ruleset()
    written = engine_or_native(engine or NEWEST_MEASURED).rules(docker_host)
    return replace(written, source=f"{written.source} for {Path(host).name if host else 'the article'}")
