"""A pytest session in this process that ends on an interruption."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from testbed.errors import TestbedError

_QUIET = ("-W", "ignore::pytest.PytestAssertRewriteWarning")


class _Watch:
    """Records an interruption of the session, and keeps pytest from reporting an incomplete run."""

    def __init__(self) -> None:
        self.interrupted = False
        self._config: pytest.Config | None = None

    def pytest_configure(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionstart(self) -> Iterator[None]:
        """Block Ctrl-C for the pytest-xdist workers, which are started here; this process ends them."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        with _deferred_interruption():
            try:
                return (yield)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if excinfo.type is KeyboardInterrupt and self._config is not None:  # not a subclass, by which pytest stops
            self.interrupted = True
            self._config.pluginmanager.unregister(name="terminalreporter")
            if (spread := self._config.pluginmanager.getplugin("dsession")) is not None:
                for gateway in spread.nodemanager.group:
                    gateway._io.kill()  # a normal end may take 10 s or print a traceback


def run(arguments: Sequence[str], plugins: Sequence[object] = ()) -> int:
    """Return pytest's exit code; raises KeyboardInterrupt when the session was interrupted."""
    watch = _Watch()
    with _handler(signal.default_int_handler):
        code = pytest.main([*arguments, *_QUIET], plugins=[watch, *plugins])
    if watch.interrupted:
        raise KeyboardInterrupt
    return code


@contextmanager
def _deferred_interruption() -> Iterator[None]:
    """Delay a KeyboardInterrupt to the end of the block; any thread may receive the signal."""
    taken: list[int] = []
    with _handler(lambda number, _: taken.append(number)):
        yield
    if taken:
        raise KeyboardInterrupt


@contextmanager
def _handler(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Use `handler` for interruptions (SIGINT) while the block runs, unless they are ignored."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def require_start(code: int) -> None:
    """Raise TestbedError for a session that could not start, or ended for another reason than its tests."""
    if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.INTERRUPTED):
        raise TestbedError("pytest could not run the cases.", "It says above why.")
