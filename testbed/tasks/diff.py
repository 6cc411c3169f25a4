"""invoke diff: what behaves differently between two rule sets."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from testbed.errors import TestbedError
from testbed.tasks.console import as_json, console
from testbed.tasks.host_options import HostOptions, host_task
from testbed.tasks.options import SIDES_HELP
from testbed.tasks.values import writable


@host_task(
    positional=["old", "new"],
    help={
        "old": f"what there was. {SIDES_HELP}",
        "new": f"what there is to be. {SIDES_HELP}",
        "engine": "of two captures: the second has the rules that this version of Docker writes, and its own others",
        "backends": "what loads the rules; two with a comma between them for one each: nft,legacy",
        "allow": "file with changes that are meant, as --list prints them; none are where it is missing",
        "strict": "exit with 1 also where packets have the same outcome, decided by another rule",
        "list": "print each change on a line of its own, as --allow reads them",
        "ways": "print the witnesses' ways on both sides, rule by rule",
        "markdown": "file to write a comment for a pull request to",
        "html": "file to write a page to, on which both ways of each witness stand side by side",
        "sarif": "file to write the changes to as SARIF 2.1.0, for code scanning",
        "annotations": "print annotations for a pull request on GitHub, too",
        "json": "print the changes for programs",
    },
)
def diff(
    _: Context,
    old: str,
    new: str,
    host: HostOptions | None = None,
    engine: str | None = None,
    backends: str = "nft",
    allow: str = "",
    strict: bool = False,
    list: bool = False,  # noqa: A002 - it is the option's name
    ways: bool = False,
    markdown: str = "",
    html: str = "",
    sarif: str = "",
    annotations: bool = False,
    json: bool = False,
) -> None:
    """Show what behaves differently between two rule sets: opened, closed, translated or answered differently.

    Two rule sets, or captures of a host (docs/capture.md), are compared over all packets; a packet of each region that
    differs is sent through both. A table of behaviours is compared by its probes. Exit code 0 when nothing differs, 1
    when something does that is not allowed, 2 when they could not be compared, 3 when no difference was found but not
    all could be judged.
    """
    from testbed.tasks.compared import allowed_in, compared
    from testbed.tasks.drift import compared_hosts

    if annotations and (list or json):
        raise TestbedError("--annotations are printed among what a person reads.", "Leave out --list and --json.")
    for option, file in (("--markdown", markdown), ("--html", html), ("--sarif", sarif)):
        writable(option, file)
    hosts = compared_hosts(old, new, host, engine, backends)
    allowed = allowed_in(allow) if allow else set()
    told = compared(hosts.host, hosts.described, hosts.sides, allowed)
    told.write(markdown, html, sarif)
    if json:
        as_json({**told.as_dict(), "host": [*hosts.said]})
    for sentence in () if json or list else hosts.said:
        console().print(sentence, soft_wrap=True)
    for line in [] if json else told.listed() if list else told.lines(ways, annotations):
        console().print(line, soft_wrap=True)
    if (code := told.code(strict)) != 0:
        raise Exit(code=code)
