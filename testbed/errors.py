"""What can go wrong, in the user's words.

Every error says what is wrong in one sentence and, where something can be done about it, what to do in another.
"""

from __future__ import annotations

from testbed.visible import visible


class TestbedError(Exception):
    """A condition that the user can understand and, mostly, mend; tasks print it and exit with 2."""

    __test__ = False  # pytest would collect a class whose name begins with Test

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(visible(what))
        self.what = visible(what)
        self.remedy = visible(remedy)

    def __str__(self) -> str:
        return f"{self.what}\n{self.remedy}" if self.remedy else self.what


class TopologyError(TestbedError):
    """A topology that cannot exist: a link to nowhere, an address used twice, an unknown node."""


class RulesError(TestbedError):
    """A rule set that cannot be read or loaded; names the file, the line and its text."""


class ExpectationError(TestbedError):
    """Expected counters that are not written as `iptables-save -c` lines."""


class MissingRequirement(TestbedError):
    """The machine lacks something the testbed needs: root, a program, a kernel feature."""


class KernelRefused(TestbedError):
    """The kernel or a program that speaks to it refused what was asked."""


class EngineRefused(TestbedError):
    """A real engine did not start, or did not do what it was asked."""


class NameTaken(TestbedError):
    """A bed or namespace of that name exists already, or is being made."""


class NotUp(TestbedError):
    """No bed of that name is up."""


class NotDelivered(TestbedError):
    """A packet that a conversation cannot go on without did not arrive."""


class Disagreement(TestbedError):
    """Two witnesses of the same packets say different things: trace, counters, captures, or what a rule says itself."""


class AnalysisError(TestbedError):
    """Sets of packets that are too large to be compared, or rules that cannot be read as such sets."""
