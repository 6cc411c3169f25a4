"""The console command `docker-host-testbed`: its options, its help, its man page, its sentences."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from testbed.tasks import namespace
from testbed.tasks.called import as_called
from testbed.tasks.exit_codes import COULD_NOT_RUN
from testbed.tasks.program import ConsoleProgram

PROGRAM = Path(sys.executable).with_name("docker-host-testbed")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/docker-host-testbed"])


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The exit code and what is printed."""
    with pytest.raises(SystemExit) as ended:
        ConsoleProgram().run(["docker-host-testbed", *arguments])
    said = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int)
    return code, said.out, said.err


def printed(*arguments: str) -> str:
    """What the command prints in a process of its own: pyinvoke gives a task's help once."""
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize(
    ("arguments", "what", "remedy"),
    [
        ("hanshake", "there is no task hanshake.", "Did you mean handshake?"),
        ("-T x", "docker-host-testbed has no option -T before a task.", "`docker-host-testbed --help`"),
        ("--nosuch", "docker-host-testbed has no option --nosuch", "`docker-host-testbed --help`"),
        ("--list-depth x", "--list-depth takes a whole number", "`docker-host-testbed --list`"),
        ("--print-completion-script tcsh", "no completion for the shell tcsh", "bash, zsh, fish"),
        ("help nosuch", "there is no task nosuch.", "`docker-host-testbed --list`"),
        ("trace --too x", "docker-host-testbed trace has no option --too.", "Did you mean --to?"),
        ("diff a", "docker-host-testbed diff needs NEW.", "`docker-host-testbed diff --help`"),
    ],
)
@pytest.mark.usefixtures("typed")
def test_command_line_that_cannot_be_read_is_refused_in_the_words_of_the_command(
    capsys: pytest.CaptureFixture[str], arguments: str, what: str, remedy: str
) -> None:
    code, out, err = run(capsys, *arguments.split())
    assert (code, out) == (COULD_NOT_RUN, "")
    sentence, action = err.splitlines()
    assert what in sentence
    assert remedy in action
    assert "invoke" not in err


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"docker-host-testbed {version('docker-host-testbed')}\n", "")


def test_help_of_a_task_is_the_same_before_and_behind_it() -> None:
    first, second = printed("help", "diff"), printed("diff", "--help")
    assert first == second
    assert "--allow" in first
    assert "`docker-host-testbed behaviours`" in first


def test_help_alone_lists_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "help")
    assert code == 0
    assert all(f"\n  {task} " in out for task in namespace.task_names)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_names_the_command(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    code, out, _ = run(capsys, "--print-completion-script", shell)
    assert code == 0
    assert "docker-host-testbed --complete --" in out.replace("${=collection_arg} ", "")


def test_bash_completes_tasks_and_options(tmp_path: Path) -> None:
    script = subprocess.run([PROGRAM, "--print-completion-script", "bash"], capture_output=True, text=True, check=True)
    (tmp_path / "completion").write_text(script.stdout)
    asked = (
        f"PATH={PROGRAM.parent}:$PATH; . {tmp_path}/completion; "
        "COMP_WORDS=(docker-host-testbed diff --al); _complete_docker-host-testbed docker-host-testbed --al diff; "
        'echo "${COMPREPLY[*]}"; '
        "COMP_WORDS=(docker-host-testbed hands); _complete_docker-host-testbed docker-host-testbed hands; "
        'echo "${COMPREPLY[*]}"'
    )
    answered = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert answered.stdout.splitlines() == ["--allow", "handshake"]


def test_man_page_has_every_task_and_option() -> None:
    shown = printed("--print-man-page").replace("\\-", "-")
    for context in namespace.to_contexts():
        assert f".SS {context.name}" in shown
        assert all(f"\\fB{names}\\fR" in shown for names, _ in context.help_tuples())
    assert "file with changes that are meant, as --list prints them" in shown
    assert "`invoke " not in shown
    assert "DOCKER_HOST_TESTBED_TASK_OPTION" in shown


def test_module_is_the_same_program() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "testbed", "nosuch"], capture_output=True, text=True, check=False, timeout=60
    )
    assert finished.returncode == COULD_NOT_RUN
    assert "`docker-host-testbed --list`" in finished.stderr


def test_other_words_than_a_command_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Run `invoke up`; the invoked rule and invoke's own files stay."
    assert as_called(text) == text
    monkeypatch.setattr(sys, "argv", ["docker-host-testbed"])
    assert as_called(text) == text.replace("`invoke up`", "`docker-host-testbed up`")
