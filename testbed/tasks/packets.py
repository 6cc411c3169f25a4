"""The packets that `invoke trace` sends and follows."""

from __future__ import annotations

from testbed.bed import Testbed
from testbed.docker.guess import Guess
from testbed.errors import TestbedError
from testbed.question import Question, talk
from testbed.report import guesses
from testbed.report import journey as report
from testbed.tasks.console import console
from testbed.topology import Topology
from testbed.traced_connection import CountedJourney, Story, follow, follow_kernel
from testbed.traffic.tcp import STACKS

ONE, HANDSHAKE, CLOSE = 1, 3, 7  # packets


def require_sender(topology: Topology, name: str) -> None:
    """Raise TestbedError for a name that no node with an address has."""
    senders = [node.name for node in topology.nodes if node.addresses]
    if name not in senders:
        raise TestbedError(f"there is no {name} that could send.", f"There are {', '.join(senders)}.")


def followed(bed: Testbed, question: Question, client: str) -> tuple[CountedJourney, ...]:
    """Send the packets of a question and return their journeys; those of the host are sent by its kernel."""
    if not bed.topology.node(question.origin).passes_on:
        return follow(bed, talk(bed, question, STACKS[client]))
    if question.port is not None or question.via is not None:
        raise TestbedError(
            f"the kernel of {question.origin} chooses its port and its way itself.", "Leave out --sport and --via."
        )
    sent = follow_kernel(
        bed, lambda: bed.send_from_kernel(question.origin, question.protocol, (question.address, question.to_port))
    )
    return sent[:1] if question.packets == ONE else sent  # a socket that answers on the host sends packets too


def print_story(story: Story, guessed: tuple[Guess, ...], remarks: tuple[str, ...]) -> None:
    """Print what was added to the host, the journeys, and what the rules name and the bed does not have."""
    out = console()
    for sentence in guesses.sentences(guessed):
        out.print(sentence, soft_wrap=True)
    out.print(f"{story.title}, {story.about}")
    for packet in story.packets:
        out.print()
        for line in report.lines(packet.journey):
            out.print(line, soft_wrap=True)
    for remark in remarks:
        out.print(remark, soft_wrap=True)
