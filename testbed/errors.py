"""The errors of the testbed, in the user's terms.

Every error says in one sentence what is wrong. If there is a remedy, a second sentence says what to do.
"""

from __future__ import annotations

from testbed.visible import visible


class TestbedError(Exception):
    """A condition that the user can understand and usually correct; tasks print it and exit with 2."""

    __test__ = False  # pytest would collect a class whose name begins with Test

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(visible(what))
        self.what = visible(what)
        self.remedy = visible(remedy)

    def __str__(self) -> str:
        return f"{self.what}\n{self.remedy}" if self.remedy else self.what


class TopologyError(TestbedError):
    """An impossible topology: a link without an end, a duplicate address, an unknown node."""


class RulesError(TestbedError):
    """A rule set that cannot be read or loaded; names the file, the line and its text."""


class CaptureError(TestbedError):
    """A capture of a host that cannot be read: cut off, of another format, a section that is not understood."""


class ExpectationError(TestbedError):
    """Expected counters that are not written as `iptables-save -c` lines."""


class MissingRequirement(TestbedError):
    """The machine lacks a requirement of the testbed: root, a program, a kernel feature."""


class KernelRefused(TestbedError):
    """The kernel, or a program that configures it, refused a request."""


class EngineRefused(TestbedError):
    """A real engine did not start, or refused a request."""


class NameTaken(TestbedError):
    """A bed or namespace of that name exists already, or another process is making it."""


class NotUp(TestbedError):
    """No bed of that name is up."""


class NotDelivered(TestbedError):
    """A packet that a conversation depends on did not arrive."""


class Disagreement(TestbedError):
    """Two observations of the same packets contradict each other: trace, counters, captures, or the rule itself."""


class AnalysisError(TestbedError):
    """Packet sets that are too large to compare, or rules that cannot be expressed as packet sets."""
