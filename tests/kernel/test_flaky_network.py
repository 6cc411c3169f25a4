"""A network that delays, loses and reorders packets does not change what is told of the rules.

Delay and reordering are made by token buckets (tc-tbf, tc-htb), loss by a rule of the switch: kernels have these where
they have no netem.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from testbed import Testbed
from testbed.behaviour import packets, table
from testbed.behaviour.ask import behaviours
from testbed.behaviour.flows import CapturedPacket, ProbeFlow
from testbed.behaviour.outcome import Outcomes
from testbed.behaviour.probes import Probe, probes
from testbed.behaviour.referenced_values import mentioned
from testbed.docker import article
from testbed.observe.header import TracedHeader
from testbed.rules.syntax import IPTABLES

LINKS = (("lan", "client"), ("lan", "gateway"), ("lan", "host"), ("host", article.WEB.attachments[0].veth))


def done(bed: Testbed, node: str, *argv: str, text: str = "") -> None:
    finished = bed.node(node).command(argv, stdin=text)
    assert finished.returncode == 0, finished.stderr


def delayed(bed: Testbed) -> None:
    """A frame waits for those before it: 2 Mbit/s, so some 0.2 ms each."""
    for node, device in LINKS:
        done(bed, node, *f"tc qdisc add dev {device} root tbf rate 2mbit burst 1540 limit 1000000".split())


def reordered(bed: Testbed) -> None:
    """Every other packet waits longer than its neighbours."""
    for node, device in LINKS:
        tc = ("tc", "qdisc", "add", "dev", device, "root", "handle", "1:", "htb", "default", "1")
        done(bed, node, *tc)
        for number, rate in ((1, "100mbit"), (2, "300kbit")):
            classes = f"tc class add dev {device} parent 1: classid 1:{number} htb rate {rate} burst 100 cburst 100"
            done(bed, node, *classes.split())
        odd = f"tc filter add dev {device} parent 1: protocol ip u32 match u16 0x0001 0x0001 at 4 flowid 1:2"
        done(bed, node, *odd.split())


def losing(bed: Testbed) -> None:
    """The switch loses one frame of twenty, of any kind."""
    rules = (
        "add table bridge flaky",
        "add chain bridge flaky every { type filter hook forward priority 0; }",
        "add rule bridge flaky every numgen random mod 20 < 1 drop",
    )
    done(bed, "lan", "nft", "-f", "-", text="".join(f"{rule}\n" for rule in rules))


def all_of_it(bed: Testbed) -> None:
    reordered(bed)
    losing(bed)


@pytest.mark.parametrize("flaw", [delayed, reordered, losing, all_of_it], ids=lambda flaw: flaw.__name__)
def test_a_table_does_not_change_by_a_line_in_a_flaky_network(flaw: Callable[[Testbed], None], bed: Testbed) -> None:
    named = mentioned(bed.backend.book(bed.host), IPTABLES)
    asked = probes(bed.topology, article.HOST, named).asked
    before = table.rows(behaviours(bed, asked))
    assert len(before) > 100
    flaw(bed)
    assert table.rows(behaviours(bed, asked)) == before


def test_a_question_that_comes_when_answers_have_been_given_is_asked_again(bed: Testbed) -> None:
    """Else a delay would look like an end that does not answer."""
    probe = Probe("client", "udp", "203.0.113.10", 9)
    data, _ = packets.question(bed, probe, 40000)
    asked = TracedHeader.of(data)
    late = ProbeFlow(probe, 40000, asked=asked, arrivals=[CapturedPacket("internet", asked, data, None)])
    assert late.unanswered
    assert Outcomes(bed).astray(late)
    late.answered = TracedHeader.of(packets.answer(bed, probe, 40000, "internet", asked))
    assert late.unanswered
    late.erred = TracedHeader.of(packets.error(bed, "internet", asked, data))
    assert not late.unanswered
