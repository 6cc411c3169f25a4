"""Files that cannot be read are named with what they are; a file is written as a whole or not at all."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import socket
import stat
import tarfile
import threading
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from testbed.errors import RulesError, TestbedError
from testbed.rules import files
from testbed.visible import visible

TEXT = "*filter\nCOMMIT\n"


def said(path: Path | str) -> str:
    with pytest.raises(RulesError) as caught:
        files.text_of(path, "Give rules.")
    assert caught.value.what.count(visible(str(path))[:100]) == 1
    assert "Give rules." in caught.value.remedy
    return f"{caught.value.what} {caught.value.remedy}"


def archive(kind: str) -> bytes:
    written = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(written, "w") as zipped:
            zipped.writestr("rules", TEXT)
    else:
        with tarfile.open(fileobj=written, mode="w") as tar:
            entry = tarfile.TarInfo("rules")
            entry.size = len(TEXT)
            tar.addfile(entry, io.BytesIO(TEXT.encode()))
    return written.getvalue()


@pytest.mark.parametrize(
    ("content", "kind", "command"),
    [
        (gzip.compress(TEXT.encode(), mtime=0), "gzip", "gunzip -c"),
        (bz2.compress(TEXT.encode()), "bzip2", "bunzip2 -c"),
        (lzma.compress(TEXT.encode()), "xz", "xz -dc"),
        (archive("zip"), "zip archive", "unzip -p"),
        (archive("tar"), "tar archive", "tar -xOf"),
        (TEXT.encode("utf-16"), "UTF-16", "iconv -f UTF-16"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "UTF-16", "iconv -f UTF-16"),
        (TEXT.encode("utf-16-le"), "line 1 has a NUL byte", ""),
        (b"*filter\n# caf\xe9\n", "line 2 has the byte 0xe9", "iconv -f LATIN1"),
        (b"\x7fELF\x02\x01\x01\0\0", "NUL byte", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # bytes that hold the time are no name
)
def test_what_is_no_text_is_named_with_the_command_that_makes_text_of_it(
    tmp_path: Path, content: bytes, kind: str, command: str
) -> None:
    file = tmp_path / "my rules"
    file.write_bytes(content)
    words = said(file)
    assert kind in words
    assert not command or f"{command}" in words
    assert not command or f"'{file}'`" in words


def test_a_byte_order_mark_and_carriage_returns_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "rules"
    file.write_bytes(b"\xef\xbb\xbf*filter\r\nCOMMIT\r\n")
    assert files.text_of(file, "") == TEXT


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    assert "Is a directory" in said(tmp_path)
    assert "it is a device" in said("/dev/zero")
    assert "it is a device" in said("/dev/null")
    assert "No such file" in said(tmp_path / "none")
    assert "File name too long" in said(tmp_path / ("x" * 300))
    assert "null byte" in said("a\0b")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        assert "No such device or address" in said(tmp_path / "s")


def test_a_pipe_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        pipe.write(TEXT)
    assert files.text_of(f"/dev/fd/{reading}", "") == TEXT
    os.close(reading)


def test_a_pipe_in_which_nobody_writes_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert files.text_of(pipe, "") == ""
    monkeypatch.setattr(files, "_SILENCE", 0.01)
    silent = os.open(pipe, os.O_RDWR)
    assert "nothing came out of the pipe" in said(pipe)
    os.close(silent)


def test_a_file_and_a_pipe_that_are_too_large_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as written:
        written.truncate(files.LIMIT + 1)
    assert f"{files.LIMIT + 1:,} bytes" in said(file)
    reading, writing = os.pipe()

    def fill() -> None:
        with suppress(BrokenPipeError):
            while True:
                os.write(writing, b"\n" * 65536)
        os.close(writing)

    filling = threading.Thread(target=fill)
    filling.start()
    assert "which is the limit" in said(f"/dev/fd/{reading}")
    os.close(reading)
    filling.join()


def test_a_quote_is_cut() -> None:
    assert files.shown("x" * 200) == "x" * 200
    assert files.shown("x" * 201) == f"{'x' * 196} ..."


# what is written


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_with_the_permissions_of_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "report"
    file.write_text("before")
    file.chmod(0o640)
    files.write(file, TEXT)
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (TEXT, 0o640)
    assert left_in(tmp_path) == ["report"]


def test_a_new_file_is_given_the_permissions_of_new_files(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    files.write(tmp_path / "new", TEXT)
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    files.write(tmp_path / "link", TEXT)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == TEXT


def test_a_device_is_written_to() -> None:
    files.write("/dev/null", TEXT)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("failing", ["write", "replace"])
def test_a_file_that_cannot_be_written_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    file = tmp_path / "report"
    file.write_text("before")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text" if failing == "write" else "replace", full)
    with pytest.raises(TestbedError, match=r"report cannot be written: No space left on device\.\nGive another file\."):
        files.write(file, TEXT)
    assert file.read_text() == "before"
    assert left_in(tmp_path) == ["report"]


def test_a_file_that_has_no_place_is_named(tmp_path: Path) -> None:
    for place in (tmp_path / "none" / "report", tmp_path, Path("a\0b")):
        with pytest.raises(TestbedError, match="cannot be written"):
            files.write(place, TEXT)
    assert left_in(tmp_path) == []


def test_text_that_is_no_unicode_is_not_written_half(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match="cannot be written"):
        files.write(tmp_path / "report", "half \udcff")
    assert left_in(tmp_path) == []
