"""invoke check: prove an exposure spec for rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from testbed.errors import TestbedError
from testbed.tasks.console import as_json, console
from testbed.tasks.exit_codes import FINDING, NOT_JUDGED
from testbed.tasks.host_options import HostOptions, host_task
from testbed.tasks.options import BACKEND_HELP, RULES_HELP
from testbed.tasks.values import writable

if TYPE_CHECKING:
    from testbed.exposure.spec.entries import ExposureSpec
    from testbed.exposure.spec.tried import SpecReport


@host_task(
    positional=["spec"],
    help={
        "spec": "the spec (docs/exposure.md)",
        "engine": "engines whose rules are checked, with commas between: 20.10,28,29-nftables (default: 28)",
        "rules": RULES_HELP,
        "backend": BACKEND_HELP,
        "ways": "print the witnesses' ways, rule by rule",
        "markdown": "file for the result in Markdown, for a comment on a pull request",
        "json": "print the result for programs",
    },
)
def check(
    _: Context,
    spec: str,
    host: HostOptions | None = None,
    engine: str | None = None,
    rules: str | None = None,
    backend: str = "",
    ways: bool = False,
    markdown: str = "",
    json: bool = False,
) -> None:
    """Prove that rules expose what a spec allows, and nothing else; a violation is shown with a packet and its journey.

    Each violation comes with the smallest rule that closes it, if there is one. It is tried before it is shown. Exit
    code 1 for a violation, 3 where something could not be judged.
    """
    from testbed.exposure.spec import entries
    from testbed.report import exposure_spec as report
    from testbed.rules import files

    writable("--markdown", markdown)
    if rules is not None and engine is not None:
        raise TestbedError("--rules and --engine are both given.", "Leave out one of them.")
    found = list(_reports(entries.read(spec), spec, host, engine, rules, backend))
    if markdown:
        files.write(markdown, report.markdown(found))
    if json:
        as_json({"spec": spec, "results": [report.as_dict(one) for one in found]})
    else:
        out = console()
        for one in found:
            for line in report.lines(one, ways):
                out.print(line, soft_wrap=True)
    if any(one.result.violations for one in found):
        raise Exit(code=FINDING)
    if any(one.result.unjudged for one in found):
        raise Exit(code=NOT_JUDGED)


def _reports(
    spec: ExposureSpec, path: str, host: HostOptions | None, engine: str | None, rules: str | None, backend: str
) -> list[SpecReport]:
    from pathlib import Path

    from testbed.exposure.made import ExposureStand
    from testbed.exposure.spec.tried import checked
    from testbed.tasks.chosen import choose

    if host is None and spec.host:
        host = HostOptions(str(Path(path).parent / spec.host))
    engines: list[str | None] = [*(engine.split(",") if engine is not None else spec.engines)]
    found = []
    for name in (engines or [None]) if rules is None else [None]:
        chosen = choose(host, name, rules)
        chosen.warn()
        stand = ExposureStand.of(chosen.fitted.host, chosen.rules, backend)
        found.append(checked(stand, spec))
    return found
