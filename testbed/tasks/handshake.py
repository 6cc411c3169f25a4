"""invoke handshake: one TCP handshake through the host, the article's table after each packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from testbed.errors import TestbedError
from testbed.tasks.called import as_called
from testbed.tasks.console import as_json, console
from testbed.tasks.exit_codes import FINDING, NOT_JUDGED
from testbed.tasks.host_options import HostOptions, host_task
from testbed.tasks.options import BACKEND_HELP, ENGINE_HELP, PCAP_HELP, RULES_HELP, SENDERS
from testbed.tasks.values import writable

if TYPE_CHECKING:
    from testbed.bed import Testbed
    from testbed.replay import ReplayStep

_COUNTLESS = (
    "No rule has a counter: nftables counts where a rule says `counter`. `invoke trace` shows the rules of a packet."
)
_SEVERITY = (0, NOT_JUDGED, FINDING)


@host_task(
    help={
        "to": "ADDRESS:PORT, [IPV6]:PORT or NODE:PORT (default: a published port, in each family of the host)",
        "from_": f"who asks: {SENDERS}",
        "name": "bed to use; it has to be up (default: the bed testbed where it is up, else a bed of its own)",
        "close": "close the connection too: seven packets",
        "client": "whose TCP the client speaks: windows (SYN of 52 bytes, the article's) or linux (60)",
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "backend": BACKEND_HELP,
        "pcap": PCAP_HELP,
        "json": "print packets and counters for programs",
    }
)
def handshake(
    _: Context,
    to: str = "",
    from_: str = "client",
    name: str | None = None,
    close: bool = False,
    client: str = "windows",
    host: HostOptions | None = None,
    engine: str | None = None,
    rules: str | None = None,
    backend: str = "",
    pcap: str = "",
    json: bool = False,
) -> None:
    """Send one TCP handshake through the host and print what every rule counted after each packet.

    On the bed that is up; where there is none, or a host, an engine, rules or another backend are asked for, on a bed
    of its own that is gone afterwards. Exit code 1 when a packet is lost, 3 when the rules let it through to a
    container that is not in the bed.
    """
    from testbed.kernel.backends import ALL
    from testbed.question import TCP
    from testbed.replay import replay
    from testbed.report import guesses
    from testbed.report import handshake as tables
    from testbed.tasks.captured import captured, journeys, write_capture
    from testbed.tasks.opened import opened_bed
    from testbed.traffic.tcp import STACKS

    writable("--pcap", pcap)
    if client not in STACKS:
        raise TestbedError(f"there is no client {client}.", f"There are {', '.join(STACKS)}.")
    with opened_bed(name, host, engine, rules, backend, from_) as opened:
        from_ = opened.node_called(from_)
        _require_scripted(opened.bed, from_)
        asked = opened.places(to, TCP, from_)
        with captured(opened.bed, pcap) as capture, journeys(opened.bed, pcap) as traced:
            connections = [list(replay(opened.bed, from_, place, STACKS[client], close)) for place in asked]
        kind = opened.bed.backend.name
        loaded = opened.bed.loaded
        countless = loaded.as_iptables is None and not loaded.number_of_rules
    write_capture(pcap, capture, traced, opened.publishers.rules)
    if json:
        steps = [step.as_dict() for connection in connections for step in connection]
        guessed = guesses.as_dicts(opened.guesses)
        about = {"guesses": guessed, "contradictions": list(opened.contradictions), "remarks": list(opened.remarks)}
        as_json({"bed": opened.name, "backend": kind, "client": client, "steps": steps, **about})
    else:
        out = console()
        for sentence in guesses.sentences(opened.guesses):
            out.print(sentence, soft_wrap=True)
        out.print(f"One connection through {opened.name}, {ALL[kind].program}, a {client} client")
        for connection in connections:
            out.print(tables.packets(connection), crop=False)
            if countless:
                out.print(as_called(_COUNTLESS), soft_wrap=True)
            else:
                out.print(tables.counters(connection), crop=False)
            if (conclusion := tables.conclusion(connection[-1])) is not None:
                out.print(conclusion)
        for remark in opened.remarks:
            out.print(remark, soft_wrap=True)
    if code := max((_exit_code(connection[-1]) for connection in connections), key=_SEVERITY.index):
        raise Exit(code=code)
    if opened.contradictions:
        raise Exit(code=NOT_JUDGED)


def _require_scripted(bed: Testbed, name: str) -> None:
    scripted = [node.name for node in bed.topology.nodes if node.addresses and not node.passes_on]
    if name not in scripted:
        raise TestbedError(
            f"there is no {name} whose packets are sent one by one.",
            f"There are {', '.join(scripted)}; of the host's own kernel: invoke trace --from host.",
        )


def _exit_code(last: ReplayStep) -> int:
    if last.result.delivered or last.accepted:
        return 0
    return NOT_JUDGED if last.absent else FINDING
