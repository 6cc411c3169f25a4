"""The console command `docker-host-testbed`: the tasks of `invoke` without a tasks.py."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.metadata import version

from invoke.completion.complete import print_completion_script
from invoke.exceptions import Exit
from invoke.parser.argument import Argument

from testbed.errors import TestbedError
from testbed.tasks import interruption, namespace
from testbed.tasks.called import CONSOLE, as_called
from testbed.tasks.commandline import TaskProgram

_FORMATS = ("flat", "nested", "json")
_SHELLS = ("bash", "zsh", "fish")
_MANUAL = "print-man-page"
_KEPT = {
    *("complete", "help", "list", "list-depth", "list-format", "print-completion-script", "rootless", "version"),
}


class ConsoleProgram(TaskProgram):
    """Our tasks as a program of its own: its options are those that mean something here."""

    def __init__(self) -> None:
        super().__init__(version(CONSOLE), namespace, name=CONSOLE, binary=CONSOLE, binary_names=[CONSOLE])
        self.collection = namespace

    def core_args(self) -> list[Argument]:
        kept = [argument for argument in super().core_args() if argument.name in _KEPT]
        return [*kept, Argument(names=[_MANUAL], kind=bool, default=False, help="Print the man page.")]

    def parse_core(self, argv: list[str] | None) -> None:
        with self._read():
            self.normalize_argv(argv)
            self._parse_own_options()
            if self.args.version.value:
                self.print_version()
                raise Exit
            if self.args[_MANUAL].value:
                from testbed.tasks.manual import man_page

                print(as_called(man_page(self)), end="")  # noqa: T201
                raise Exit
            if shell := self.args["print-completion-script"].value:
                self._print_completion(shell)
                raise Exit

    def _parse_own_options(self) -> None:
        try:
            self.parse_core_args()
        except ValueError as error:  # of int(), which pyinvoke calls
            raise TestbedError(
                f"--list-depth takes a whole number: {error}.", f"`{CONSOLE} --list` lists all tasks."
            ) from error
        if (wanted := self.args["list-format"].value) not in _FORMATS:
            raise TestbedError(f"there is no --list-format {wanted}.", f"There are {', '.join(_FORMATS)}.")

    def update_config(self, merge: bool = True) -> None:
        """Keep the configuration: the options of pyinvoke that change it are not among ours."""

    def print_help(self) -> None:
        _print_as_called(super().print_help)

    def print_task_help(self, name: str) -> None:
        _print_as_called(lambda: super(ConsoleProgram, self).print_task_help(name))

    def _print_completion(self, shell: str) -> None:
        if shell not in _SHELLS:
            raise TestbedError(f"there is no completion for the shell {shell}.", f"There is {', '.join(_SHELLS)}.")
        print_completion_script(shell, self.binary_names)


def _print_as_called(printing: Callable[[], None]) -> None:
    with redirect_stdout(io.StringIO()) as printed:
        printing()
    sys.stdout.write(as_called(printed.getvalue()))


def main() -> None:
    """Run the program with the arguments of this process."""
    interruption.listen()
    ConsoleProgram().run()
