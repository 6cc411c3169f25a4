"""invoke rules: the rule set that an engine writes for a host."""

from __future__ import annotations

import sys

from invoke.context import Context

from testbed.tasks.console import console
from testbed.tasks.host_options import HostOptions, host_task
from testbed.tasks.options import ENGINE_HELP


@host_task(help={"engine": ENGINE_HELP})
def rules(_: Context, host: HostOptions | None = None, engine: str | None = None) -> None:
    """Print the rule set that an engine writes for a host, to be edited, compared, or given to `--rules -`.

    It is what iptables-save and ip6tables-save print, or, of an engine with nftables, what `nft list ruleset` prints.
    What was assumed about the host goes to standard error.
    """
    from testbed.tasks.chosen import choose

    chosen = choose(host, engine, None)
    sys.stdout.write(chosen.rules.text)
    for remark in chosen.host.remarks:
        console(stderr=True).print(remark, soft_wrap=True)
