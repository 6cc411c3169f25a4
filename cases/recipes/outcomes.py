"""What is asked of a host that a recipe was tried on, and what became of it: who dropped it, if somebody did."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from testbed import LINUX, Testbed
from testbed.observe.journey import DELIVERED, DROPPED, LOCAL_INPUT, Journey
from testbed.observe.tracing import Tracing
from testbed.question import Question, talk
from testbed.traffic.packet import Packet

HOST, HOST6 = "192.168.66.100", "2001:db8:66::100"
WEB, BRIDGE = "172.17.0.2", "172.17.0.1"
INTERNET = "203.0.113.10"
OPEN, BY_PROXY, DROP, REFUSED, LOST = "open", "open, by the proxy", "drop", "refused", "lost"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`what` is one of the above; `by` the rule or policy that dropped, or why it was lost.

    `answer`: it happened to the answer.
    """

    what: str
    by: str = ""
    answer: bool = False


@dataclass(frozen=True, slots=True)
class Asking:
    """A bed that is traced while it is asked; `kept` holds what may end only behind the tracing."""

    bed: Testbed
    tracing: Tracing
    kept: ExitStack

    def scripted(self, question: Question) -> Outcome:
        """What becomes of a scripted question and of the answer to it."""
        journeys = []
        talking = talk(self.bed, question, LINUX)
        result = next(talking)
        while result is not None:
            journeys.append(self.tracing.journey(result))
            try:
                result = talking.send(journeys[-1])
            except StopIteration:
                break
        return self._judged(journeys, question)

    def by_the_host(self) -> Outcome:
        """The host's own kernel asks at 127.0.0.1; the userland proxy listens there, and asks the container."""
        before = len(self.tracing.journeys())
        attempt = self.kept.enter_context(self.bed.connect_from_kernel("host", ("127.0.0.1", 8080)))
        end = self.tracing.journeys()[before].end
        if end.kind == DROPPED:
            return Outcome(DROP, end.by)
        assert attempt.outcome == "open"
        self._relayed("tcp")
        return Outcome(BY_PROXY)

    def _judged(self, journeys: list[Journey], question: Question) -> Outcome:
        last, answered = journeys[-1], len(journeys) == question.packets
        if last.end.kind == DROPPED:
            return Outcome(DROP, last.end.by, answered)
        if last.end.kind == LOCAL_INPUT:
            return self._at_the_proxy(last.answers, question)
        if last.end.kind == DELIVERED:
            return Outcome(OPEN)
        return Outcome(LOST, last.end.why.partition(" and answered by ")[0], answered)

    def _at_the_proxy(self, answers: tuple[Packet, ...], question: Question) -> Outcome:
        """What the host's kernel says in place of the proxy that listens, or because nobody does."""
        said = [answer.kind for answer in answers]
        if question.protocol == "udp" and not said:
            self._relayed("udp")
            return Outcome(BY_PROXY)
        assert said in (["SYN/ACK"], ["RST/ACK"], ["icmp 3/3"])
        return Outcome(BY_PROXY if said == ["SYN/ACK"] else REFUSED)

    def _relayed(self, protocol: str) -> None:
        web = self.bed.endpoint("web")
        web.wait_for(lambda seen: (seen.protocol, seen.source) == (protocol, BRIDGE), "what the proxy relays")


def _asking(*way: object, protocol: str = "tcp", **more: object) -> Callable[[Asking], Outcome]:
    return partial(_ask, Question(*way, protocol=protocol, packets=2, **more))


def _ask(question: Question, asking: Asking) -> Outcome:
    return asking.scripted(question)


# What may be kept from coming in: asked from the LAN or from the internet.
COMING_IN: tuple[tuple[str, Callable[[Asking], Outcome]], ...] = (
    ("LAN", _asking("client", HOST, 8080)),
    ("internet", _asking("internet", HOST, 8080)),
    ("internet, UDP", _asking("internet", HOST, 5353, protocol="udp")),
    ("internet, IPv6", _asking("internet", HOST6, 8080)),
    ("LAN, for 127.0.0.1:8080", _asking("client", "127.0.0.1", 8080, via=HOST)),
    ("LAN, for 172.17.0.2:80", _asking("client", WEB, 80, via=HOST)),
    ("LAN, for 172.17.0.2:81", _asking("client", WEB, 81, via=HOST)),
)
# What is to go on working.
OWN: tuple[tuple[str, Callable[[Asking], Outcome]], ...] = (
    ("out", _asking("web", INTERNET, 443)),
    ("out, to a port 8080", _asking("web", INTERNET, 8080)),
    ("out, UDP from port 123", _asking("web", INTERNET, 123, protocol="udp", port=123)),
    ("container to container", _asking("other", WEB, 80)),
    ("container to the host's 8080", _asking("other", HOST, 8080)),
    ("host to 127.0.0.1:8080", Asking.by_the_host),
)
QUESTIONS = (*COMING_IN, *OWN)


def outcomes(bed: Testbed) -> tuple[Outcome, ...]:
    """The outcome of each question, in order."""
    with ExitStack() as kept, bed.tracing() as tracing:
        asking = Asking(bed, tracing, kept)
        return tuple(ask(asking) for _, ask in QUESTIONS)
