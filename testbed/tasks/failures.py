"""Sentences for failures outside the code: limits of the process, output that cannot be written."""

from __future__ import annotations

import errno

from testbed.errors import TestbedError

_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
_FILES_REMEDY = "Allow more, for instance with `ulimit -n 4096`; `invoke doctor` says how many a bed needs."
_MEMORY_REMEDY = "Allow more, for instance with `ulimit -v unlimited`; `invoke doctor` says how much a bed needs."
_MEMORY_WORDS = ("can't start new thread", "can't allocate", "Cannot allocate memory", "out of memory")


def in_a_sentence(error: BaseException) -> TestbedError | None:
    """Return what happened and what to do as a TestbedError, or None if `error` is a fault of the code."""
    if isinstance(error, TestbedError):
        return error
    if isinstance(error, BrokenPipeError):
        return TestbedError("the output was closed before everything was printed.", "Read all of it, or use a file.")
    if isinstance(error, OSError) and error.errno is not None:
        return _of_system(error)
    if _is_about_memory(error):
        return TestbedError("the memory that this process may use is not enough.", _MEMORY_REMEDY)
    return None


def _of_system(error: OSError) -> TestbedError:
    if error.errno in _TOO_MANY_FILES:
        return TestbedError("this process may not open enough files.", _FILES_REMEDY)
    if _is_about_memory(error):
        return TestbedError("the memory that this process may use is not enough.", _MEMORY_REMEDY)
    if error.errno == errno.ENOSPC and error.filename is None:
        return TestbedError(
            "the output cannot be written: no space is left on the device.", "Make room, or print elsewhere."
        )
    named = f"{error.filename}: " if error.filename is not None else "the system refused a call: "
    return TestbedError(f"{named}{error.strerror}.", "Run `invoke doctor` to see what this machine lacks.")


def _is_about_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError | ImportError) and any(words in str(error) for words in _MEMORY_WORDS)
