"""invoke trace: the way of a packet through hooks, tables, chains and rules."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from testbed.bed import Testbed
from testbed.errors import TestbedError
from testbed.observe.journey import DELIVERED, LET_THROUGH, LOCAL_INPUT
from testbed.question import PROTOCOLS, TCP, Question, talk
from testbed.report import journey as report
from testbed.tasks.chosen import BACKEND_HELP, ENGINE_HELP, HOST_HELP, RULES_HELP
from testbed.tasks.console import FINDING, NOT_JUDGED, as_json, console, in_words
from testbed.tasks.opened import opened_bed
from testbed.tasks.values import address_of, port_of
from testbed.topology import Topology
from testbed.traced_connection import Followed, Story, follow, follow_kernel
from testbed.traffic.tcp import STACKS

_ONE, _HANDSHAKE, _CLOSE = 1, 3, 7


@task(
    help={
        "from_": "who sends: client, internet, host, or a container's name",
        "to": "ADDRESS:PORT, [IPV6]:PORT or NODE:PORT (default: a published port, in each family of the host)",
        "proto": "tcp, udp or icmp",
        "sport": "the sender's port, 1 to 65535 (default: one that is free); with icmp the identifier",
        "via": "address of the router to which the packet is given first, instead of the sender's own",
        "handshake": "answer too: a TCP handshake's three packets, or the answer to the datagram",
        "close": "and close the connection: seven packets",
        "client": "whose TCP is spoken: windows or linux",
        "name": "bed to use; it has to be up (default: the bed testbed where it is up, else a bed of its own)",
        "host": HOST_HELP,
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "backend": BACKEND_HELP,
        "json": "print the journeys for programs",
    }
)
@in_words
def trace(
    _: Context,
    from_: str = "client",
    to: str = "",
    proto: str = TCP,
    sport: str = "",
    via: str = "",
    handshake: bool = False,
    close: bool = False,
    client: str = "windows",
    name: str | None = None,
    host: str | None = None,
    engine: str | None = None,
    rules: str | None = None,
    backend: str = "",
    json: bool = False,
) -> None:
    """Show the way of a packet through the host: every rule it met, matched or not and why, and how it ended.

    It is the kernel's own trace, held against the rules' counters and against what came out. On the bed that is up;
    where there is none, or a host, an engine, rules or another backend are asked for, on a bed of its own that is gone
    afterwards. Exit code 1 when a packet did not arrive, 3 when the rules let it through to a container that is not in
    the bed.
    """
    if proto not in PROTOCOLS:
        raise TestbedError(f"there is no protocol {proto} here.", f"There are {', '.join(PROTOCOLS)}.")
    if client not in STACKS:
        raise TestbedError(f"there is no client {client}.", f"There are {', '.join(STACKS)}.")
    sender_port = port_of("--sport", sport)
    router = address_of("--via", via)
    with opened_bed(name, host, engine, rules, backend) as opened:
        bed = opened.bed
        from_ = opened.node_called(from_)
        _require_speaker(bed.topology, from_)
        number = _CLOSE if close else _HANDSHAKE if handshake else _ONE
        asked = opened.places(to, proto)
        questions = [Question(from_, *place, proto, sender_port, router, number) for place in asked]
        packets = tuple(packet for question in questions for packet in _followed(bed, question, client))
        story = Story(
            f"From {from_} to {to or ' and '.join(address for address, _ in asked)}",
            opened.about,
            bed.topology,
            bed.words(),
            packets,
        )
    if json:
        as_json(story.as_dict())
    else:
        _print(story, opened.remarks)
    kinds = {packet.journey.end.kind for packet in packets}
    if kinds - {DELIVERED, LOCAL_INPUT, LET_THROUGH}:
        raise Exit(code=FINDING)
    if LET_THROUGH in kinds or opened.contradictions:
        raise Exit(code=NOT_JUDGED)


def _require_speaker(topology: Topology, name: str) -> None:
    speakers = [node.name for node in topology.nodes if node.addresses]
    if name not in speakers:
        raise TestbedError(f"there is no {name} that could send.", f"There are {', '.join(speakers)}.")


def _followed(bed: Testbed, question: Question, client: str) -> tuple[Followed, ...]:
    if not bed.topology.node(question.origin).passes_on:
        return follow(bed, talk(bed, question, STACKS[client]))
    if question.port is not None or question.via is not None:
        raise TestbedError(
            f"the kernel of {question.origin} chooses its port and its way itself.", "Leave out --sport and --via."
        )
    followed = follow_kernel(
        bed, lambda: bed.send_from_kernel(question.origin, question.protocol, (question.address, question.to_port))
    )
    return followed[:1] if question.packets == _ONE else followed  # whoever answers on the host speaks too


def _print(story: Story, remarks: tuple[str, ...]) -> None:
    out = console()
    out.print(f"{story.title}, {story.about}")
    for packet in story.packets:
        out.print()
        for line in report.lines(packet.journey):
            out.print(line, soft_wrap=True)
    for remark in remarks:
        out.print(remark, soft_wrap=True)
