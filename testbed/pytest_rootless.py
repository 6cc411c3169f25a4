"""A pytest run of an ordinary user: its beds are in a user namespace, which is entered before there are threads.

A run in one process enters once it is known that a test uses a bed. A run with pytest-xdist has to enter before its
workers start, when that is not known; so it enters if an option or a setting of this plugin is there. The network stays
the machine's, over which the process has no power: other tests of the run may need it.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from testbed.kernel import user_namespace

ROOTLESS, ROOTLESS_SETTING = "--testbed-rootless", "testbed_rootless"
_OPTIONS = ("testbed_backend", "testbed_rules", "rule_coverage")


def enter_at_start(config: pytest.Config) -> None:
    """Enter if it is asked for, or if workers of pytest-xdist will start that probably use beds."""
    if wanted(config):
        try:
            user_namespace.enter(network=False)
        except OSError as error:
            reason = user_namespace.why_not() or error.strerror
            raise pytest.UsageError(f"a user namespace cannot be made: {reason}.") from error
    elif user_namespace.needed() and _is_spread(config) and _is_ours(config):
        _enter_if_possible()


def enter_for(items: list[pytest.Item]) -> None:
    """Enter if a test uses a bed; a test says itself that it is not possible."""
    if user_namespace.needed() and any("testbed_backend" in getattr(item, "fixturenames", ()) for item in items):
        _enter_if_possible()


def wanted(config: pytest.Config) -> bool:
    """Return whether the run is to be in a user namespace, whoever runs it; workers are in that of their controller."""
    asked = config.getoption(ROOTLESS) or config.getini(ROOTLESS_SETTING)
    return bool(asked) and not user_namespace.entered() and not hasattr(config, "workerinput")


def _is_spread(config: pytest.Config) -> bool:
    return bool(config.getoption("numprocesses", None) or config.getoption("tx", None))


def _is_ours(config: pytest.Config) -> bool:
    return bool(config.getini("testbed_backend")) or any(config.getoption(option) for option in _OPTIONS)


def _enter_if_possible() -> None:
    with suppress(OSError):
        user_namespace.enter(network=False)
