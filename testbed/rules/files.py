"""Files that users name: text files to read, in any syntax, and reports to write."""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from shlex import quote

from testbed.errors import RulesError, TestbedError

STANDARD_INPUT = "-"  # in place of a file's name
LIMIT = 32 * 1024 * 1024  # bytes: 300,000 rules, or an ipset with a million elements
_QUOTED = 200  # characters of a line that an error shows
_SILENCE = 20.0  # seconds that a pipe may be silent
_CHUNK = 1024 * 1024
_KINDS = (  # first bytes of files that are not text, their kind, and the command that converts them to text
    (b"\x1f\x8b", "compressed by gzip", "gunzip -c {0}"),
    (b"\xfd7zXZ\0", "compressed by xz", "xz -dc {0}"),
    (b"BZh", "compressed by bzip2", "bunzip2 -c {0}"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "zstd -dc {0}"),
    (b"PK\x03\x04", "a zip archive", "unzip -p {0}"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x -so {0}"),
    (b"\xff\xfe", "UTF-16", "iconv -f UTF-16 -t UTF-8 {0}"),
    (b"\xfe\xff", "UTF-16", "iconv -f UTF-16 -t UTF-8 {0}"),
)
_BOM = "\ufeff"
_TAR, _AT = b"ustar", 257
_NOT_FILES = (
    (stat.S_ISCHR, "it is a device"),
    (stat.S_ISBLK, "it is a device"),
    (stat.S_ISSOCK, "it is a socket"),
)


def text_of(path: Path | str, remedy: str, refusal: type[TestbedError] = RulesError) -> str:
    """Return the text of a file, a pipe, or with `-` of standard input, without a byte order mark.

    Raises `refusal`, with that remedy, when it cannot be read, is larger than LIMIT, or is not text in UTF-8.
    """
    try:
        content = _content(path)
    except (OSError, ValueError) as error:
        raise refusal(f"{shown(str(path))} cannot be read: {reason(error)}.", remedy) from error
    if other := _other_kind(content):
        kind, command = other
        advice = f"Make text of it: `{command.format(quote(str(path)))}`. {remedy}"
        raise refusal(f"{path} cannot be read: it is not text but {kind}.", advice)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        advice = f"If it is text in Latin-1: `iconv -f LATIN1 -t UTF-8 {quote(str(path))}`. {remedy}"
        raise refusal(
            f"{path} cannot be read: it is not text, line {line} has the byte 0x{byte:02x}.", advice
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise refusal(f"{path} cannot be read: line {line} has a NUL byte, so it is not text.", remedy)
    return text.removeprefix(_BOM).replace("\r\n", "\n")


def reason(error: Exception) -> str:
    """Return why a file cannot be read or written, without the number and the name that Python adds."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def name_of(path: Path | str) -> str:
    """Return what an error calls a file."""
    return "standard input" if str(path) == STANDARD_INPUT else str(path)


def shown(line: str) -> str:
    """Return a line as an error quotes it, cut after 200 characters."""
    return line if len(line) <= _QUOTED else f"{line[: _QUOTED - 4]} ..."


def write(path: Path | str, text: str, remedy: str = "Give another file.") -> None:
    """Write a file as a whole or not at all; raises TestbedError with that remedy when it cannot be written."""
    try:
        _write(Path(path), text)
    except (OSError, ValueError) as error:
        raise TestbedError(f"{shown(str(path))} cannot be written: {reason(error)}.", remedy) from error


def write_private(path: Path | str, text: str) -> None:
    """Write a file as `write` does; a new one can be read by its owner alone."""
    if not os.path.exists(path):
        with suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    write(path, text)


def _write(path: Path, text: str) -> None:
    """Replace a file by a new one with the same owner and permissions; write directly to devices and pipes."""
    there = path.stat() if path.exists() else None
    if there is not None and not stat.S_ISREG(there.st_mode):
        path.write_text(text, encoding="utf-8")
        return
    target = path.resolve()
    with _beside(target, there) as file:
        file.write_text(text, encoding="utf-8")
        file.replace(target)


@contextmanager
def _beside(target: Path, there: os.stat_result | None) -> Iterator[Path]:
    """Yield a new temporary file in the target's folder, with the permissions of the target or of a new file."""
    if there is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    file = target.with_name(f".{target.name[:100]}.{token_hex(4)}")
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    try:
        if there is not None:
            with suppress(PermissionError):
                os.chown(file, there.st_uid, there.st_gid)
            file.chmod(stat.S_IMODE(there.st_mode))
        yield file
    finally:
        file.unlink(missing_ok=True)


def _content(path: Path | str) -> bytes:
    """Return the bytes of a file or a pipe; raises OSError or ValueError with the reason why it cannot be read."""
    with open(_descriptor(path), "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        for is_it, what in _NOT_FILES:
            if is_it(found.st_mode):
                raise ValueError(what)
        return b"".join(_chunks(file.fileno(), found.st_size))


def _descriptor(path: Path | str) -> int:
    if str(path) == STANDARD_INPUT:
        return os.dup(0)
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # the open of a pipe would wait


def _chunks(descriptor: int, size: int) -> Iterator[bytes]:
    if size > LIMIT:
        raise ValueError(f"it has {size:,} bytes, and the limit is {LIMIT:,}")
    left = LIMIT
    while chunk := _chunk(descriptor):
        left -= len(chunk)
        if left < 0:
            raise ValueError(f"it has more than {LIMIT:,} bytes, which is the limit")
        yield chunk


def _chunk(descriptor: int) -> bytes:
    """Return the next bytes; empty at the end, and for a pipe that no process has open for writing."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        if not select.select([descriptor], [], [], _SILENCE)[0]:
            raise ValueError(f"nothing came out of the pipe for {_SILENCE:.0f} seconds") from None
        return os.read(descriptor, _CHUNK)


def _other_kind(content: bytes) -> tuple[str, str] | None:
    """Return the kind of a file that is not text, and the command that converts it to text; None for text."""
    if content[_AT : _AT + len(_TAR)] == _TAR:
        return "a tar archive", "tar -xOf {0}"
    return next(((kind, command) for magic, kind, command in _KINDS if content.startswith(magic)), None)
