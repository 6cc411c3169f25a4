"""Every task and option that names a file, a number or a name: a value that is none is refused at once, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.tasks import namespace
from testbed.tasks.commandline import TaskProgram
from testbed.tasks.exit_codes import COULD_NOT_RUN

OUTPUTS = [
    *(("behaviours", "--out"), ("report", "--out"), ("coverage", "--out"), ("coverage", "--html")),
    *(("coverage", "--lcov"), ("coverage", "--cobertura"), ("test", "--junit"), ("mutate", "--junit")),
    *(("mutate", "--json"), ("mutate", "--markdown"), ("mutate", "--html"), ("mutate", "--journal")),
    *(("diff article article", "--markdown"), ("diff article article", "--html"), ("diff article article", "--sarif")),
    *(("trace", "--pcap"), ("handshake", "--pcap")),
]
INPUTS = [
    *((task, "--rules") for task in ("up", "handshake", "trace", "test", "behaviours", "mutate", "coverage", "report")),
    *((task, "--host") for task in ("up", "handshake", "trace", "behaviours", "report", "rules")),
    *(("report", "--results"), ("report", "--ledger"), ("claims", "--ledger"), ("mutate", "--behaviours")),
]
CASES = str(Path(__file__).parents[2] / "cases")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The sentence and the action with which arguments are refused."""
    with pytest.raises(SystemExit) as ended:
        TaskProgram(namespace=namespace).run(["invoke", *arguments])
    assert ended.value.code == COULD_NOT_RUN
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if not line.startswith(("note: ", "warning: "))]
    assert len(lines) == 2, said.err
    assert lines[0].startswith("error: ")
    assert lines[1]
    assert "[Errno" not in said.err
    assert "Traceback" not in said.err
    return lines


def with_cases(task: str) -> list[str]:
    words = task.split()
    return [*words, "--path", CASES] if words[0] in ("test", "mutate", "coverage") else words


@pytest.mark.parametrize(("task", "option"), OUTPUTS, ids=[" ".join(one) for one in OUTPUTS])
@pytest.mark.parametrize(
    ("path", "sentence"),
    [("/nosuch/file", "there is no folder /nosuch"), ("/etc", "/etc is a folder"), ("/proc/file", "cannot be written")],
)
def test_output_that_cannot_be_written_is_refused_before_the_work(
    capsys: pytest.CaptureFixture[str], task: str, option: str, path: str, sentence: str
) -> None:
    assert sentence in refused(capsys, *with_cases(task), option, path)[0]


@pytest.mark.parametrize(("task", "option"), OUTPUTS, ids=[" ".join(one) for one in OUTPUTS])
def test_output_whose_name_is_too_long_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, task: str, option: str
) -> None:
    assert "File name too long" in refused(capsys, *with_cases(task), option, str(tmp_path / ("x" * 300)))[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("task", "option"), INPUTS, ids=[" ".join(one) for one in INPUTS])
@pytest.mark.parametrize("kind", ["missing", "binary", "device"])
def test_input_that_cannot_be_read_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, task: str, option: str, kind: str
) -> None:
    given = {"missing": tmp_path / "nosuch", "binary": tmp_path / "binary", "device": Path("/dev/null")}[kind]
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    lines = refused(capsys, *with_cases(task), option, str(given))
    assert given.name in lines[0] or str(given) in lines[0]


@pytest.mark.parametrize("folder", ["results", "ledger"])
def test_folder_in_place_of_a_file_is_named_once(capsys: pytest.CaptureFixture[str], folder: str) -> None:
    (sentence, _) = refused(capsys, "report", f"--{folder}", "/etc")
    assert sentence.endswith("cannot be read: Is a directory.")
    assert sentence.count("/etc") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("test", "--artifacts", "/proc/nosuch/x"), "no files can be written there"),
        (("test", "--artifacts", "/etc/passwd"), "no files can be written there: File exists."),
        (("trace", "--to", "web"), "web names no port"),
        (("up", "--name", "a/b"), "'a/b' is no name for a bed"),
        (("up", "--name", ""), "is no name for a bed"),
        (("up", "--name", "x" * 33), "is no name for a bed"),
        (("up", "--engine", "99"), "there is no engine 99"),
        (("up", "--backend", "ebpf"), "there is no backend ebpf"),
        (("rules", "--engine", "x"), "'x' is no version"),
        (("rules", "--engine", ""), "--engine is empty"),
        (("bench", "--rounds", "0"), "--rounds 0 is out of range"),
        (("bench", "--containers", "1,x"), "--containers 'x' is not a whole number"),
        (("conformance", "--dockerd", "/nosuch"), "there is no program /nosuch"),
        (("conformance", "--only", "nosuch"), "no known host has 'nosuch'"),
        (("exec", "host"), "exec needs a program"),
        (("exec",), "exec needs NODE"),
        (("shell",), "shell needs NODE"),
        (("down", "--name", "nosuch-bed"), "no bed named nosuch-bed is up"),
        (("exec", "host", "--name", "nosuch-bed", "--", "true"), "no bed named nosuch-bed is up"),
    ],
    ids=" ".join,
)
def test_value_that_an_option_cannot_have_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    words = with_cases(arguments[0])
    assert sentence in refused(capsys, *words, *arguments[1:])[0]
