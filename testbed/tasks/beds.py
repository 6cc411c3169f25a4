"""invoke up, status, down: a bed with a name, that stays."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from testbed.errors import NotUp
from testbed.tasks.called import as_called, program
from testbed.tasks.console import as_json, console, in_words
from testbed.tasks.host_options import HostOptions, host_task
from testbed.tasks.options import DEFAULT_NAME, ENGINE_HELP, RULES_HELP

_NAME_HELP = "name of the bed; its namespaces are NAME-host, NAME-client and so on"


@host_task(
    help={
        "name": _NAME_HELP,
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "backend": "iptables' way of loading it: nft or legacy (nftables' own rules are loaded by nft)",
        "json": "print the record of the bed for programs",
    }
)
def up(
    _: Context,
    name: str = DEFAULT_NAME,
    host: HostOptions | None = None,
    engine: str | None = None,
    rules: str | None = None,
    backend: str = "nft",
    json: bool = False,
) -> None:
    """Build a Docker host, the article's or another, with a LAN, a gateway and an internet; draw the map.

    Run again it changes nothing. Beds of several names can be up at once.
    """
    from testbed import named
    from testbed.kernel.backends import ALL, backend_for
    from testbed.kernel.requirements import require
    from testbed.report import beds, guesses
    from testbed.report import map as map_of_bed
    from testbed.report.terminal import Text
    from testbed.tasks.chosen import choose
    from testbed.tasks.working import working

    chosen = choose(host, engine, rules)
    chosen.warn()
    require(backend_for(chosen.rules, backend).name)
    with working("building the bed"):
        record, made = named.up(name, chosen.rules, backend, chosen.text, chosen.engine)
    if json:
        as_json(beds.as_dict(record))
        return
    out = console()
    note = f"{record.ruleset.number_of_rules} rules ({record.source}), {ALL[record.backend].program}"
    out.print(Text.assemble("The bed ", (name, "bold"), f" {'is up' if made else 'was up already'}."))
    out.print(map_of_bed.tree(record.topology, name, note))
    for remark in (*guesses.sentences(record.fitted.guesses), *record.remarks):
        out.print(remark, soft_wrap=True)
    out.print(Text("What to try next", style="bold"))
    option = "" if name == DEFAULT_NAME else f" --name {name}"
    out.print(beds.commands(record, option, program()), crop=False)


@task(help={"json": "print the records for programs"})
@in_words
def status(_: Context, json: bool = False) -> None:
    """What is up: beds, their rules, their namespaces."""
    from testbed import named
    from testbed.report import beds
    from testbed.report.terminal import Text

    records, damaged = named.standing(), named.damaged()
    if json:
        broken = [{"name": one.name, "up": False, "damaged": one.why} for one in damaged]
        as_json([*(beds.as_dict(record) for record in records), *broken])
        return
    for one in damaged:
        console().print(Text.assemble((f"{one}. ", "bold red"), one.remedy), soft_wrap=True)
    if not records:
        console().print(as_called("No bed is up. Make one with `invoke up`.") if not damaged else "No other bed is up.")
        return
    console().print(beds.table(records), crop=False)


@task(help={"name": _NAME_HELP, "all": "take all beds away"})
@in_words
def down(_: Context, name: str = DEFAULT_NAME, all: bool = False) -> None:  # noqa: A002 - it is the option's name
    """Take a bed away: its namespaces, its programs, its record, and nothing else."""
    from testbed import named
    from testbed.report.terminal import Text

    names = [*(one.name for one in named.standing()), *(one.name for one in named.damaged())] if all else [name]
    if not names:
        raise NotUp("no bed is up.", "There is nothing to take down.")
    for one in names:
        left = named.down(one)
        console().print(Text.assemble("The bed ", (one, "bold"), " is gone."))
        if left:
            console().print(
                f"Its record did not say whose the namespaces {' '.join(left)} are: they stay. `ip netns del NAME` "
                "takes one away.",
                soft_wrap=True,
            )
