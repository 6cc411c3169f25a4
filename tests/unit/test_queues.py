"""Queues as rules name them, and verdicts as the trace carries them."""

from __future__ import annotations

import struct

import pytest

from testbed.errors import KernelRefused
from testbed.kernel import netlink, queues
from testbed.kernel.trace_events import TraceReader


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("-j NFQUEUE --queue-num 0", [0]),
        ("-p tcp -j NFQUEUE --queue-num 5 --queue-bypass", [5]),
        ("-j NFQUEUE --queue-balance 2:4", [2, 3, 4]),
        ("tcp dport 80 queue", [0]),
        ("queue to 0", [0]),
        ("queue num 7 bypass", [7]),
        ("queue flags bypass,fanout to 1-3", [1, 2, 3]),
        ("-j QUEUE", [0]),
    ],
)
def test_a_rule_names_its_queues(spec: str, wanted: list[int]) -> None:
    assert list(queues.numbers_in(spec)) == wanted


def verdict(code: int) -> str:
    """What is read from a trace message with a verdict of that code."""
    said = netlink.nested(5, netlink.attribute(1, struct.pack("!i", code)))
    names = netlink.string(1, "t") + netlink.string(2, "c") + netlink.number(4, 3)
    return TraceReader().read(struct.pack("!BBH", 2, 0, 0) + names + said).verdict


def test_a_verdict_is_its_lowest_byte() -> None:
    assert verdict(3) == "queue"
    assert verdict(5 << 16 | 3) == "queue"
    assert verdict(5 << 16 | 0x8000 | 3) == "queue"
    assert (verdict(0), verdict(1), verdict(2), verdict(-1)) == ("drop", "accept", "stolen", "continue")


def test_an_unknown_verdict_is_an_error_and_no_accept() -> None:
    with pytest.raises(KernelRefused, match="verdict 99"):
        verdict(99)
