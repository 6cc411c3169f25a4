"""invoke trace: the way of a packet through hooks, tables, chains and rules."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from testbed.errors import TestbedError
from testbed.tasks.console import as_json
from testbed.tasks.exit_codes import FINDING, NOT_JUDGED
from testbed.tasks.host_options import HostOptions, host_task
from testbed.tasks.options import BACKEND_HELP, ENGINE_HELP, PCAP_HELP, RULES_HELP, SENDERS
from testbed.tasks.values import address_of, port_of, writable


@host_task(
    help={
        "from_": f"who sends: host, {SENDERS}",
        "to": "ADDRESS:PORT, [IPV6]:PORT or NODE:PORT (default: a published port, in each family of the host)",
        "proto": "tcp, udp or icmp",
        "sport": "the sender's port, 1 to 65535 (default: one that is free); with icmp the identifier",
        "via": "address of the router to which the packet is given first, instead of the sender's own",
        "handshake": "answer too: a TCP handshake's three packets, or the answer to the datagram",
        "close": "and close the connection: seven packets",
        "client": "whose TCP is spoken: windows or linux",
        "name": "bed to use; it has to be up (default: the bed testbed where it is up, else a bed of its own)",
        "engine": ENGINE_HELP,
        "rules": RULES_HELP,
        "backend": BACKEND_HELP,
        "pcap": PCAP_HELP,
        "json": "print the journeys for programs",
    }
)
def trace(
    _: Context,
    from_: str = "client",
    to: str = "",
    proto: str = "tcp",
    sport: str = "",
    via: str = "",
    handshake: bool = False,
    close: bool = False,
    client: str = "windows",
    name: str | None = None,
    host: HostOptions | None = None,
    engine: str | None = None,
    rules: str | None = None,
    backend: str = "",
    pcap: str = "",
    json: bool = False,
) -> None:
    """Show the way of a packet through the host: every rule it met, matched or not and why, and how it ended.

    It is the kernel's own trace, held against the rules' counters and against what came out. On the bed that is up;
    where there is none, or a host, an engine, rules or another backend are asked for, on a bed of its own that is gone
    afterwards. Exit code 1 when a packet did not arrive, 3 when the rules let it through to a container that is not in
    the bed.
    """
    from testbed.observe.journey import DELIVERED, LET_THROUGH, LOCAL_INPUT
    from testbed.question import PROTOCOLS, Question
    from testbed.report import guesses
    from testbed.tasks.captured import captured, write_capture
    from testbed.tasks.opened import opened_bed
    from testbed.tasks.packets import CLOSE, HANDSHAKE, ONE, followed, print_story, require_sender
    from testbed.traced_connection import Story
    from testbed.traffic.tcp import STACKS

    if proto not in PROTOCOLS:
        raise TestbedError(f"there is no protocol {proto} here.", f"There are {', '.join(PROTOCOLS)}.")
    if client not in STACKS:
        raise TestbedError(f"there is no client {client}.", f"There are {', '.join(STACKS)}.")
    writable("--pcap", pcap)
    sender_port = port_of("--sport", sport)
    router = address_of("--via", via)
    with opened_bed(name, host, engine, rules, backend, from_) as opened:
        bed = opened.bed
        from_ = opened.node_called(from_)
        require_sender(bed.topology, from_)
        number = CLOSE if close else HANDSHAKE if handshake else ONE
        asked = opened.places(to, proto, from_)
        questions = [Question(from_, *place, proto, sender_port, router, number) for place in asked]
        with captured(bed, pcap) as capture:
            packets = tuple(packet for question in questions for packet in followed(bed, question, client))
        story = Story(
            f"From {from_} to {to or ' and '.join(address for address, _ in asked)}",
            opened.about,
            bed.topology,
            bed.words(),
            packets,
        )
    write_capture(pcap, capture, [packet.journey for packet in packets], opened.publishers.rules)
    if json:
        as_json(
            {
                "guesses": guesses.as_dicts(opened.guesses),
                **story.as_dict(),
                "contradictions": list(opened.contradictions),
                "remarks": list(opened.remarks),
            }
        )
    else:
        print_story(story, opened.guesses, opened.remarks)
    kinds = {packet.journey.end.kind for packet in packets}
    if kinds - {DELIVERED, LOCAL_INPUT, LET_THROUGH}:
        raise Exit(code=FINDING)
    if LET_THROUGH in kinds or opened.contradictions:
        raise Exit(code=NOT_JUDGED)
