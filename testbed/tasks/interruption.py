"""Ctrl-C: one sentence and exit code 130, at whatever moment it comes.

While a task works an interruption is a KeyboardInterrupt, so that what the task has made is taken away. Before that,
and while modules are imported, it ends the process at once: nothing is there yet, and modules may catch exceptions.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from testbed.tasks.exit_codes import INTERRUPTED

SENTENCE = "interrupted, so there is no result."
_IMPORT_SYSTEM = "<frozen importlib._bootstrap>"


def listen() -> None:
    """End the process by an interruption from now on, unless interruptions are ignored or handled by others."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def raised() -> Iterator[None]:
    """Raise KeyboardInterrupt meanwhile, where `listen` has been called, except while a module is imported."""
    if signal.getsignal(signal.SIGINT) is not _leave:
        yield
        return
    signal.signal(signal.SIGINT, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _leave)


def _raise(number: int, frame: FrameType | None) -> None:
    if _imports(frame):
        _leave(number, frame)
    raise KeyboardInterrupt


def _imports(frame: FrameType | None) -> bool:
    """Return whether a module is being imported in this frame or in one of its callers."""
    while frame is not None:
        if frame.f_code.co_filename == _IMPORT_SYSTEM:
            return True
        frame = frame.f_back
    return False


def _leave(_: int, __: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, f"error: {SENTENCE}\n".encode())
    os._exit(INTERRUPTED)
