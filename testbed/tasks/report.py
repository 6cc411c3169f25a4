"""invoke report: one HTML page on which packets can be followed step by step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from testbed import claims
from testbed.bed import Testbed
from testbed.docker import PublishedPort, article
from testbed.docker.network import HOST_ADDRESS, HOST_ADDRESS6
from testbed.errors import TestbedError
from testbed.kernel.backends import ALL, backend_for
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require
from testbed.question import Question, Talk, talk
from testbed.report import results as junit
from testbed.report.page import Page, html
from testbed.rules import files
from testbed.tasks.chosen import ENGINE_HELP, HOST_HELP, RULES_HELP, Chosen, choose
from testbed.tasks.console import console, in_words
from testbed.tasks.values import required
from testbed.traced_connection import Story, follow
from testbed.traffic.tcp import WINDOWS

_LEDGER = "cases/article/claims.toml"
_TITLE = "Packets through a Docker host"


@task(
    help={
        "out": "file that the page is written to",
        "host": HOST_HELP,
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "backend": "nft or legacy",
        "results": "results to show: the file that `invoke test --junit FILE` wrote",
        "ledger": "file with the claims about the article's handshake",
    }
)
@in_words
def report(
    _: Context,
    out: str = "report.html",
    host: str | None = None,
    engine: str | None = None,
    rules: str | None = None,
    backend: str = "nft",
    results: str = "",
    ledger: str = _LEDGER,
) -> None:
    """Write a page on which the packets of a handshake can be followed, rule by rule: one file, to be opened anywhere.

    The article's handshake is on it, and with a host, an engine or rules a handshake with each TCP port that this host
    publishes to the LAN; the claims about the article and the results of a run of the cases, where these are given.
    """
    required("--out", out)
    run = junit.read(Path(results)) if results else None
    chosen = [
        choose(None, None, None),
        *([choose(host, engine, rules)] if (host, engine, rules) != (None, None, None) else []),
    ]
    told = claims.read(Path(ledger)) if ledger != _LEDGER or Path(ledger).exists() else []
    page = Page(_TITLE, tuple(_stories(chosen, host, backend)), told, run)
    files.write(out, html(page), "Say where with --out FILE.html.")
    packets = sum(len(story.packets) for story in page.stories)
    stories = "a story" if len(page.stories) == 1 else f"{len(page.stories)} stories"
    console().print(f"{out}: {packets} packets in {stories}, {len(told)} claims.", soft_wrap=True)


def _stories(chosen: Sequence[Chosen], host: str | None, backend: str) -> list[Story]:
    titles = ("The article's handshake", f"A handshake with each port of {Path(host or '').name or 'the host'}")
    with quarantine():
        return [
            _story(one, title, backend, every_port=number > 0)
            for number, (one, title) in enumerate(zip(chosen, titles, strict=False))
        ]


def _story(chosen: Chosen, title: str, backend: str, every_port: bool) -> Story:
    loaded_by = backend_for(chosen.rules, backend).name
    require(loaded_by)
    ports = [port for _, port in chosen.host.offered()]
    if not ports:
        raise TestbedError("this host publishes no TCP port to the LAN.", "Give a service `ports`, for instance 80:80.")
    with Testbed(article.topology(chosen.host), chosen.rules, loaded_by) as bed:
        about = f"{chosen.rules.source}, {ALL[loaded_by].program}"
        packets = follow(bed, _handshakes(bed, ports if every_port else ports[:1]))
        return Story(title, about, bed.topology, bed.words(), packets)


def _handshakes(bed: Testbed, ports: Sequence[PublishedPort]) -> Talk:
    """One after the other, each as far as it gets."""
    for port in ports:
        yield from talk(bed, Question("client", _address(port), port.host, packets=3), WINDOWS)


def _address(port: PublishedPort) -> str:
    """An address at which the port is published."""
    if port.address is None or port.everywhere:
        return str(HOST_ADDRESS.ip if port.in_version(4) else HOST_ADDRESS6.ip)
    return str(port.address)
