"""Options that are numbers or paths, read with a sentence for what is none."""

from __future__ import annotations

import errno
import os
from ipaddress import ip_address
from pathlib import Path

from testbed.errors import TestbedError
from testbed.tasks.options import PROCESSES_PER_PROCESSOR

LAST_PORT = 65535
_EXPRESSION = "Write names with `and`, `or`, `not` between them."


def whole_number(option: str, text: str, least: int, most: int) -> int:
    """Return the number that an option gives; TestbedError for none, and for one below `least` or above `most`."""
    remedy = f"Give a whole number from {least} to {most}."
    try:
        number = int(text)
    except ValueError as error:
        raise TestbedError(f"{option} {text!r} is not a whole number.", remedy) from error
    if not least <= number <= most:
        raise TestbedError(f"{option} {number} is out of range.", remedy)
    return number


def percentage(option: str, text: str) -> float:
    """Return a share in percent; TestbedError for what is not a number from 0 to 100."""
    remedy = "Give a number from 0 to 100."
    try:
        number = float(text)
    except ValueError as error:
        raise TestbedError(f"{option} {text!r} is not a number.", remedy) from error
    if not 0 <= number <= 100:
        raise TestbedError(f"{option} {text} is out of range.", remedy)
    return number


def port_of(option: str, text: str) -> int | None:
    """Return a port, None for an empty text; TestbedError for what is none."""
    return whole_number(option, text, 1, LAST_PORT) if text else None


def address_of(option: str, text: str) -> str | None:
    """Return an address, None for an empty text; TestbedError for what is none."""
    try:
        return str(ip_address(text)) if text else None
    except ValueError as error:
        raise TestbedError(f"{option} {text!r} is not an IP address.", "Give one, such as 192.0.2.1.") from error


def expression(option: str, text: str) -> str:
    """Return an expression of names as `pytest -k` reads it; TestbedError for what is none."""
    from _pytest.mark.expression import Expression

    try:
        Expression.compile(text)
    except SyntaxError as error:
        raise TestbedError(f"{option} {text!r} cannot be read: {error.msg}.", _EXPRESSION) from error
    return text


def processes(option: str, text: str) -> int:
    """Return a number of processes; TestbedError for more than the machine's processors can work for."""
    return whole_number(option, text, 0, PROCESSES_PER_PROCESSOR * processors())


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0))


def existing_cases(path: str) -> str:
    """Return the path of cases; TestbedError where there are none."""
    remedy = "Run it where they are, or say where with --path."
    if not path or not Path(path).exists():
        raise TestbedError(f"there are no cases in {path or 'an empty path'}.", remedy)
    if Path(path).is_file() and Path(path).suffix != ".py":
        raise TestbedError(f"{path} is no folder of cases and no Python file.", remedy)
    return path


def required(option: str, path: str) -> str:
    """Return the path of a file to write; TestbedError where none is given, or none can be written there."""
    if not path:
        raise TestbedError(f"{option} needs the name of a file.", "Give one, or leave the option out.")
    return writable(option, path)


def writable(option: str, path: str) -> str:
    """Return the path of a file to write, or nothing; TestbedError where no file can be written there."""
    if not path:
        return path
    folder = Path(path).parent
    try:
        if not folder.is_dir():
            raise TestbedError(f"{option} {path}: there is no folder {folder}.", "Make it, or name another file.")
        if Path(path).is_dir():
            raise TestbedError(f"{option} {path} is a folder.", "Give a file.")
        _try_writing(Path(path))
    except OSError as error:
        raise TestbedError(f"{option} {path} cannot be written: {error.strerror}.", "Name another file.") from error
    return path


def _try_writing(path: Path) -> None:
    """Raise OSError where a file cannot be written; nothing is changed or left there."""
    if path.exists():
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    path.unlink()


def writable_folder(option: str, path: str) -> str:
    """Return the path of a folder, which is made if it is not there; TestbedError where that is impossible."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        if os.access(path, os.W_OK):
            return path
        why = os.strerror(errno.EACCES)
    except OSError as error:
        why = error.strerror or str(error)
    raise TestbedError(f"{option} {path}: no files can be written there: {why}.", "Name another folder.")
