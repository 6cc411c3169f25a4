"""pyinvoke's program with the exit codes of this project, and sentences for a command line that cannot be read.

pyinvoke exits with 1 for a mistyped option, which here means that a task has found something. A tasks.py has no say in
that, so the program that loads it is made one of ours.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from invoke import program
from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from testbed.errors import TestbedError
from testbed.tasks import interruption, rootless, settings
from testbed.tasks.called import program as called
from testbed.tasks.console import ending_in_words

_HELP, _REMAINDER = "--help", "--"
_UNKNOWN = re.compile(r"No idea what '(?P<token>.*)' is!", re.DOTALL)
_NO_VALUE = re.compile(r"Flag <Argument: (?P<option>\S+).*> needed value")
_LIST = "`invoke --list` lists the tasks."


class TaskProgram(program.Program):
    """Reads the command line as pyinvoke does; what cannot be read ends with exit code 2."""

    def core_args(self) -> list[Argument]:
        return [*super().core_args(), _rootless()]

    def parse_tasks(self) -> None:
        if "rootless" not in self.args:  # these were read before the program became ours
            self.core[0].add_arg(_rootless())
        with self._read():
            self._read_help()
            super().parse_tasks()
            if _REMAINDER in self.argv and not self.args.complete.value:
                self.core.remainder = shlex.join(self.argv[self.argv.index(_REMAINDER) + 1 :])
            if self.args.rootless.value:
                rootless.ask()
            if not self.args.complete.value and not self.args.help.value:
                settings.apply(self.tasks, self.parser.contexts.values())

    def parse_cleanup(self) -> None:
        with self._read():
            super().parse_cleanup()

    def _read_help(self) -> None:
        """Read `TASK ... --help` and `help TASK` as `--help TASK`, so that arguments a task lacks do not matter."""
        tokens = self.core.unparsed
        if tokens[:1] == ["help"] and "help" not in self.collection.task_names:
            self.core[0].args["help"].set_value(tokens[1] if tokens[1:] else True, cast=False)
            self.core.unparsed = []
        elif _HELP in tokens:
            self.core[0].args["help"].value = tokens[0]
            self.core.unparsed = []

    @contextmanager
    def _read(self) -> Iterator[None]:
        with ending_in_words():
            try:
                yield
            except ParseError as error:
                raise sentence(error, list(self.collection.task_names)) from error
            except Exit as ended:
                if ended.message:
                    raise TestbedError(ended.message, _LIST) from ended
                raise


def _rootless() -> Argument:
    help_text = "Run tasks in a user namespace, as for an ordinary user."
    return Argument(names=["rootless"], kind=bool, default=False, help=help_text)


def adopt(loader: program.Program) -> None:
    """Give pyinvoke's own program the behaviour of ours."""
    if type(loader) is program.Program:
        loader.__class__ = TaskProgram


@contextmanager
def loading(loader: program.Program) -> Iterator[None]:
    """End in words too if the tasks cannot be loaded, or if loading is interrupted, where that program loads them."""
    if not loader.argv:
        yield
        return
    interruption.listen()
    with ending_in_words():
        yield


def sentence(error: ParseError, tasks: Iterable[str]) -> TestbedError:
    """Say what is wrong with a command line and what was probably meant."""
    context, said = error.context, str(error)
    if context is None or not context.name:
        return _about_tasks(said, tasks)
    listed = f"`invoke {context.name} --help` lists its options."
    if context.missing_positional_args:
        missing = " and ".join(str(argument.name).upper() for argument in context.missing_positional_args)
        return TestbedError(f"{called()} {context.name} needs {missing}.", listed)
    if lacking := _NO_VALUE.search(said):
        return TestbedError(f"{called()} {context.name}: --{lacking['option']} needs a value.", listed)
    if unknown := _UNKNOWN.fullmatch(said):
        return _about_token(context, unknown["token"], listed)
    return TestbedError(f"{called()} {context.name}: {said}", listed)


def _about_tasks(said: str, tasks: Iterable[str]) -> TestbedError:
    unknown = _UNKNOWN.fullmatch(said)
    if unknown is None:
        return TestbedError(said, _LIST)
    token = unknown["token"]
    if token.startswith("-"):
        return TestbedError(f"{called()} has no option {token} before a task.", "`invoke --help` lists its options.")
    return TestbedError(f"there is no task {token}.", _meant(token, tasks) + _LIST)


def _about_token(context: ParserContext, token: str, listed: str) -> TestbedError:
    if token.startswith("-"):
        return TestbedError(
            f"{called()} {context.name} has no option {token}.", _meant(token, context.flag_names()) + listed
        )
    what = f"{called()} {context.name}: {token!r} is the value of no option, and no task."
    return TestbedError(what, f"Each option is given once; {listed}")


def _meant(token: str, known: Iterable[str]) -> str:
    close = get_close_matches(token, list(known), 1)
    return f"Did you mean {close[0]}? " if close else ""
