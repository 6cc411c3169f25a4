"""invoke capture: this host's network as one text; hold it against an earlier one."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from testbed.errors import TestbedError
from testbed.tasks.console import as_json, console, in_words
from testbed.tasks.values import writable


@task(
    help={
        "script": "print the shell script that takes a capture, for a host without this testbed: ssh HOST sh -s < FILE",
        "output": "file to write the capture to (default: it is printed)",
        "from": "file of a capture that was taken elsewhere, in place of this host (- is standard input)",
        "anonymize": "file with the map of public addresses and names to others: it is read if it is there, extended"
        " and written, for you to keep",
        "check": "capture to hold this host against: exit code 1 when a packet behaves differently since",
        "json": "with --check: print the changes for programs",
    }
)
@in_words
def capture(
    _: Context,
    script: bool = False,
    output: str = "",
    from_: str | None = None,
    anonymize: str | None = None,
    check: str | None = None,
    json: bool = False,
) -> None:
    """Take a capture of this host's network, as root: interfaces, routes, rules, containers, listeners, one text.

    It only reads. Review it before you give it away. Exit code 0 when it was taken; with --check 0 when nothing behaves
    differently, 1 when something does, 3 when something could not be judged.
    """
    from testbed.capture.taking import SCRIPT, here
    from testbed.rules import files

    if script:
        _alone("--script", output=output, anonymize=anonymize, check=check, from_=from_)
        print(SCRIPT.read_text(), end="")  # noqa: T201 - a program reads it
        return
    if json and check is None:
        raise TestbedError("--json is about --check.", "Leave it out: a capture is text.")
    writable("--output", output)
    text = here() if from_ is None else files.text_of(from_, "Give a file of `invoke capture`.")
    if check is not None:
        _alone("--check", output=output, anonymize=anonymize)
        _check(check, text, "this host" if from_ is None else from_, json)
        return
    if anonymize is not None:
        text = _anonymized(text, anonymize, from_ or "this host")
    if output:
        files.write(output, text)
        console(stderr=True).print(f"{output} is written. Review it, then: invoke twin {output}", soft_wrap=True)
    else:
        print(text, end="")  # noqa: T201 - a program reads it


def _alone(option: str, **others: str | None) -> None:
    given = [name.strip("_").replace("_", "-") for name, value in others.items() if value]
    if given:
        raise TestbedError(f"{option} goes without --{given[0]}.", "Leave out one of them.")


def _anonymized(text: str, file: str, source: str) -> str:
    """Return a capture with other addresses and names; write the map."""
    from pathlib import Path

    from testbed.capture.anonymize import Anonymizer
    from testbed.capture.sections import sections
    from testbed.rules import files

    writable("--anonymize", file)
    sections(text, source)
    known = (
        Anonymizer.read(files.text_of(file, "Give a map of an earlier call, or a new file."), file)
        if Path(file).exists()
        else Anonymizer.new()
    )
    changed = known.capture(text)
    files.write_private(file, known.text)
    return changed


def _check(baseline: str, text: str, name: str, json: bool) -> None:
    """Print what behaves differently since a capture was taken."""
    from testbed.capture import source
    from testbed.capture.reader import parse
    from testbed.capture.twin import twin
    from testbed.tasks.compared import compared
    from testbed.tasks.drift import of_twins

    before, _text = source.read(baseline)
    hosts = of_twins(twin(before), twin(parse(text, name)), (baseline, name))
    found = compared(hosts.host, hosts.described, hosts.sides, ())
    if json:
        as_json({**found.as_dict(), "host": list(hosts.said)})
    for sentence in () if json else hosts.said:
        console().print(sentence, soft_wrap=True)
    for line in [] if json else found.lines(ways=False, annotations=False):
        console().print(line, soft_wrap=True)
    if (code := found.code(strict=False)) != 0:
        raise Exit(code=code)
