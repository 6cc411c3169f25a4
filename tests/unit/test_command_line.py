"""A command line that cannot be read, a value that is none, a machine that gives out: one sentence, exit code 2."""

from __future__ import annotations

import errno
import os
import sys
from io import BytesIO, TextIOWrapper

import pytest
from invoke.exceptions import Exit

from testbed.errors import TestbedError
from testbed.report import journey
from testbed.tasks import namespace, streams, values
from testbed.tasks.commandline import TaskProgram
from testbed.tasks.console import ending_in_words
from testbed.tasks.exit_codes import COULD_NOT_RUN, INTERRUPTED
from testbed.tasks.failures import in_a_sentence


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """What `invoke` says to arguments that it refuses."""
    with pytest.raises(SystemExit) as ended:
        TaskProgram(namespace=namespace).run(["invoke", *arguments])
    assert ended.value.code == COULD_NOT_RUN
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert len(lines) == 2, said.err
    assert lines[0].startswith("error: ")
    return lines


@pytest.mark.parametrize(
    ("arguments", "what", "remedy"),
    [
        ("hanshake", "there is no task hanshake.", "Did you mean handshake? "),
        ("nosuch", "there is no task nosuch.", "`invoke --list`"),
        ("--nosuch", "no option --nosuch", "`invoke --help`"),
        ("--help nosuch", "there is no task nosuch.", "`invoke --list`"),
        ("nosuch --help", "there is no task nosuch.", "`invoke --list`"),
        ("--list nosuch", "nosuch", "`invoke --list`"),
        ("diff", "invoke diff needs OLD and NEW.", "`invoke diff --help`"),
        ("diff a", "invoke diff needs NEW.", "`invoke diff --help`"),
        ("diff a b --nosuch", "invoke diff has no option --nosuch.", "`invoke diff --help`"),
        ("diff a b c", "'c' is the value of no option, and no task.", "`invoke diff --help`"),
        ("trace --too x", "invoke trace has no option --too.", "Did you mean --to? "),
        ("up --name", "invoke up: --name needs a value.", "`invoke up --help`"),
        ("status --json=1", "'1' is the value of no option, and no task.", "`invoke status --help`"),
        ("trace --host a --host b", "'b' is the value of no option, and no task.", "Each option is given once"),
    ],
)
def test_command_line_that_cannot_be_read_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: str, what: str, remedy: str
) -> None:
    lines = refused(capsys, *arguments.split())
    assert what in lines[0]
    assert remedy in lines[1]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("trace", "--sport", "x"), "--sport 'x' is not a whole number."),
        (("trace", "--sport", "70000"), "--sport 70000 is out of range."),
        (("trace", "--sport", "0"), "--sport 0 is out of range."),
        (("trace", "--sport", "-1"), "--sport -1 is out of range."),
        (("trace", "--sport", "1.5"), "--sport '1.5' is not a whole number."),
        (("trace", "--via", "nobody"), "--via 'nobody' is not an IP address."),
        (("trace", "--via", "300.1.1.1"), "--via '300.1.1.1' is not an IP address."),
        (("trace", "--proto", "sctp"), "there is no protocol sctp here."),
        (("trace", "--client", "mac"), "there is no client mac."),
        (("handshake", "--client", "mac"), "there is no client mac."),
        (("coverage", "--fail-under", "x"), "--fail-under 'x' is not a number."),
        (("coverage", "--fail-under", "-1"), "--fail-under -1 is out of range."),
        (("coverage", "--fail-under", "101"), "--fail-under 101 is out of range."),
        (("coverage", "--fail-under", "nan"), "--fail-under nan is out of range."),
        (("coverage", "--jobs", "x"), "--jobs 'x' is not a whole number."),
        (("coverage", "-k", "a b"), "-k 'a b' cannot be read: "),
        (("coverage", "--path", ""), "there are no cases in an empty path."),
        (("coverage", "--path", "/etc/passwd"), "/etc/passwd is no folder of cases and no Python file."),
        (("coverage", "--html", "/nosuch/page.html"), "there is no folder /nosuch."),
        (("coverage", "--lcov", "/etc"), "--lcov /etc is a folder."),
        (("mutate", "--jobs", "-1"), "--jobs -1 is out of range."),
        (("mutate", "--jobs", "999999"), "--jobs 999999 is out of range."),
        (("mutate", "--fail-under", "x"), "--fail-under 'x' is not a number."),
        (("mutate", "-k", "("), "-k '(' cannot be read: "),
        (("mutate", "--path", "nosuch"), "there are no cases in nosuch."),
        (("mutate", "--json", "/nosuch/x.json"), "there is no folder /nosuch."),
        (("report", "--out", ""), "--out needs the name of a file."),
        (("report", "--out", "/nosuch/x.html"), "there is no folder /nosuch."),
        (("behaviours", "--out", "/nosuch/x"), "there is no folder /nosuch."),
        (("diff", "article", "article", "--sarif", "/nosuch/x"), "there is no folder /nosuch."),
        (
            ("diff", "article", "article", "--backends", "nft,legacy,nft"),
            "--backends nft,legacy,nft names more than two",
        ),
    ],
    ids=" ".join,
)
def test_value_that_an_option_does_not_take_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], what: str
) -> None:
    assert what in refused(capsys, *arguments)[0]


def test_help_of_a_task_with_arguments_is_printed_wherever_help_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    printed = set()
    for arguments in (["diff", "--help"], ["--help", "diff"], ["diff", "article", "--help"], ["diff", "--help", "x"]):
        with pytest.raises(SystemExit) as ended:
            TaskProgram(namespace=namespace).run(["invoke", *arguments])
        assert ended.value.code == 0
        printed.add(capsys.readouterr().out)
    (text,) = printed
    assert "--allow" in text


@pytest.mark.parametrize("least_and_most", [("0", 0), ("8", 8)])
def test_number_of_processes_within_the_limits_is_taken(
    monkeypatch: pytest.MonkeyPatch, least_and_most: tuple[str, int]
) -> None:
    monkeypatch.setattr(values, "processors", lambda: 1)
    text, number = least_and_most
    assert values.processes("--jobs", text) == number
    with pytest.raises(TestbedError, match="from 0 to 8"):
        values.processes("--jobs", "9")


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "the output was closed"),
        (OSError(errno.ENOSPC, "No space left on device"), "the output cannot be written"),
        (OSError(errno.EMFILE, "Too many open files"), "may not open enough files"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (MemoryError(), "memory"),
        (RuntimeError("can't start new thread"), "memory"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "/x/y: Permission denied."),
    ],
)
def test_limit_of_the_machine_is_a_sentence_with_a_remedy(error: BaseException, what: str) -> None:
    told = in_a_sentence(error)
    assert told is not None
    assert what in told.what
    assert told.remedy


def test_fault_of_the_code_keeps_its_traceback_and_is_no_finding(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as ended, ending_in_words():
        raise KeyError("a fault")
    assert ended.value.code == COULD_NOT_RUN
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "Please report it" in said


def test_interruption_is_one_sentence_and_130(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as ended, ending_in_words():
        raise KeyboardInterrupt
    assert ended.value.code == INTERRUPTED
    assert capsys.readouterr().err == "error: interrupted, so there is no result.\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_characters_that_an_encoding_lacks_are_printed_in_ascii(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, encoding=encoding))
    streams.prepare()
    sys.stdout.write("✓ ✗ → 一 \udcff")
    sys.stdout.flush()
    expected = "✓ ✗ → 一 \\udcff" if encoding == "utf-8" else "+ x -> \\u4e00 \\udcff"
    assert written.getvalue().decode(encoding) == expected


def test_every_character_of_our_own_has_a_replacement_in_ascii() -> None:
    for character in (journey.MATCHED, journey.FAILED, journey.NOT_REACHED, journey.PARTS):
        replaced, _ = streams._in_ascii(UnicodeEncodeError("ascii", character, 0, 1, ""))
        assert replaced.isascii()
        assert "\\" not in replaced


def test_output_that_cannot_be_written_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(sys, "stdout", os.fdopen(full, "w"))
    with pytest.raises(Exit) as ended, ending_in_words():
        sys.stdout.write("a result")
    assert ended.value.code == COULD_NOT_RUN
