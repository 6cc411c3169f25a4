"""invoke behaviours: the outcome of every kind of packet, as a table to keep beside the rules."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from testbed.tasks.console import as_json, console
from testbed.tasks.exit_codes import NOT_JUDGED
from testbed.tasks.host_options import HostOptions, host_task
from testbed.tasks.options import ENGINE_HELP, RULES_HELP, SENDERS
from testbed.tasks.values import writable


@host_task(
    help={
        "from_": f"print only what is asked by one: {SENDERS}",
        "out": "file to write the table to (default: print it)",
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "backend": "nft or legacy",
        "json": "print the behaviours for programs",
    }
)
def behaviours(
    _: Context,
    from_: str = "",
    out: str = "",
    host: HostOptions | None = None,
    engine: str | None = None,
    rules: str | None = None,
    backend: str = "nft",
    json: bool = False,
) -> None:
    """Ask the rules what their addresses, ports and states tell apart, and write down what becomes of each packet.

    Exit code 3 where rules have clauses that no probe tells apart; the table names them. The questions follow from the
    rules' own clauses. A team keeps the table beside its rules: what a change of the rules does shows as a change of
    the table, and `invoke diff TABLE RULES` says it in words.
    """
    from testbed.behaviour import table
    from testbed.behaviour.behaviour import LET_THROUGH
    from testbed.behaviour.behaviour import NOT_JUDGED as OUTCOME_NOT_JUDGED
    from testbed.behaviour.changed import fingerprint
    from testbed.behaviour.not_asked import not_asked
    from testbed.behaviour.probing import ask, without_proxy
    from testbed.behaviour.variant import RulesetVariant
    from testbed.docker.asker import Asker, asker
    from testbed.errors import TestbedError
    from testbed.report import guesses
    from testbed.rules import files
    from testbed.tasks.chosen import choose
    from testbed.tasks.progress import asked

    writable("--out", out)
    chosen = choose(host, engine, rules)
    chosen.warn()
    on = chosen.fitted
    asking = asker(on.host, from_) if from_ else Asker(on.host, "")
    answers = asked(lambda step: ask(asking.host, [RulesetVariant(chosen.rules, backend)], step))
    rows = [row for row in table.rows(answers.sides[0]) if not from_ or row.probe.startswith(f"{asking.node} ")]
    if not rows:
        raise TestbedError(f"no probe comes from {from_}.", "Give an address, a node or a network of this host.")
    open_ = [*answers.cut, *(one.said(chosen.rules.source) for one in not_asked(chosen.rules, answers.scopes[0]))]
    guessed, proxy = guesses.sentences(on.guesses), without_proxy(on.host)
    remarks = [*guessed, *answers.missing]
    written = table.text(
        rows,
        chosen.rules.source,
        [*guessed, *chosen.contradictions, *answers.missing, *(f"Not asked: {one}" for one in open_), *proxy],
        fingerprint(chosen.rules),
    )
    if json:
        listed = [{"probe": row.probe, "outcome": row.outcome, "by": list(row.by)} for row in rows]
        about = {"contradictions": list(chosen.contradictions), "remarks": [*remarks, *proxy], "not_asked": open_}
        as_json({"guesses": guesses.as_dicts(on.guesses), "behaviours": listed, **about})
    elif not out:
        console().print(written, end="", soft_wrap=True)
    else:
        files.write(out, written, "Say where with --out FILE.")
        console().print(f"{out}: {len(rows)} behaviours of {chosen.rules.source}.", soft_wrap=True)
    if open_ or chosen.contradictions or any(row.outcome.startswith((LET_THROUGH, OUTCOME_NOT_JUDGED)) for row in rows):
        raise Exit(code=NOT_JUDGED)
