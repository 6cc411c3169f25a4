"""invoke report: one HTML page on which packets can be followed step by step."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit

from testbed.tasks.console import console
from testbed.tasks.exit_codes import NOT_JUDGED
from testbed.tasks.host_options import HostOptions, host_task
from testbed.tasks.options import ENGINE_HELP, RULES_HELP
from testbed.tasks.values import required

_LEDGER = "cases/article/claims.toml"
_TITLE = "Packets through a Docker host"


@host_task(
    help={
        "out": "file that the page is written to",
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "backend": "nft or legacy",
        "results": "results to show: the file that `invoke test --junit FILE` wrote",
        "ledger": "file with the claims about the article's handshake",
    }
)
def report(
    _: Context,
    out: str = "report.html",
    host: HostOptions | None = None,
    engine: str | None = None,
    rules: str | None = None,
    backend: str = "nft",
    results: str = "",
    ledger: str = _LEDGER,
) -> None:
    """Write a page on which the packets of a handshake can be followed, rule by rule: one file, to be opened anywhere.

    The article's handshake is on it, and with a host, an engine or rules a handshake with each TCP port that this host
    publishes to the LAN; the claims about the article and the results of a run of the cases, where these are given.
    Exit code 3 where host and rules contradict each other.
    """
    from testbed import claims
    from testbed.report import results as junit
    from testbed.report.page import Page, html
    from testbed.rules import files
    from testbed.tasks.chosen import choose
    from testbed.tasks.stories import stories_of

    required("--out", out)
    run = junit.read(Path(results)) if results else None
    chosen = [
        choose(None, None, None),
        *([choose(host, engine, rules)] if (host, engine, rules) != (None, None, None) else []),
    ]
    for one in chosen:
        one.warn()
    told = claims.read(Path(ledger)) if ledger != _LEDGER or Path(ledger).exists() else []
    page = Page(_TITLE, tuple(stories_of(chosen, host, backend)), told, run)
    files.write(out, html(page), "Say where with --out FILE.html.")
    packets = sum(len(story.packets) for story in page.stories)
    stories = "a story" if len(page.stories) == 1 else f"{len(page.stories)} stories"
    console().print(f"{out}: {packets} packets in {stories}, {len(told)} claims.", soft_wrap=True)
    if any(one.contradictions for one in chosen):
        raise Exit(code=NOT_JUDGED)
