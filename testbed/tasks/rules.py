"""invoke rules: the rule set that an engine writes for a host."""

from __future__ import annotations

import sys

from invoke.context import Context
from invoke.tasks import task

from testbed.tasks.console import console, in_words
from testbed.tasks.options import ENGINE_HELP, HOST_HELP


@task(help={"host": HOST_HELP, "engine": ENGINE_HELP})
@in_words
def rules(_: Context, host: str | None = None, engine: str | None = None) -> None:
    """Print the rule set that an engine writes for a host, to be edited, compared, or given to `--rules -`.

    It is what iptables-save and ip6tables-save print, or, of an engine with nftables, what `nft list ruleset` prints.
    What was assumed about the host goes to standard error.
    """
    from testbed.rules import rulefile
    from testbed.tasks.chosen import choose

    chosen = choose(host, engine, None)
    sys.stdout.write(rulefile.text_of(chosen.rules))
    for remark in chosen.host.remarks:
        console(stderr=True).print(remark, soft_wrap=True)
