"""One self-contained HTML file: it loads nothing, and is readable without its script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from testbed.claims import Claim
from testbed.coverage.covered import Report
from testbed.mutation.campaign import Campaign
from testbed.report.coverage import mark
from testbed.report.page import difference as differing
from testbed.report.page import exposure as exposing
from testbed.report.page import mutation as mutating
from testbed.report.page.difference import ComparedRulesets
from testbed.report.page.exposure import ExposurePage
from testbed.report.page.view import view
from testbed.report.results import Results
from testbed.traced_connection import Story
from testbed.visible import visible

_OPTION = re.compile(r"(?<!\S)((?:! )?--?[A-Za-z][\w-]*)")


@dataclass(frozen=True, slots=True)
class Page:
    """The contents of the page. The claims concern the packets of the first story; the results are of the cases.

    `coverage` is of a rule set, by a run of the cases; `mutation` are the results of a campaign. The witnesses of an
    `exposure` are the first story.
    """

    title: str
    stories: tuple[Story, ...]
    claims: Sequence[Claim] = ()
    results: Results | None = None
    coverage: Report | None = None
    mutation: Campaign | None = None
    difference: ComparedRulesets | None = None
    exposure: ExposurePage | None = None


def html(page: Page) -> str:
    """Return the page as text."""
    stories = [
        view(story, number, page.claims if number == 1 else ()) for number, story in enumerate(page.stories, start=1)
    ]
    difference = differing.view(page.difference) if page.difference is not None else None
    mutation = mutating.view(page.mutation) if page.mutation is not None else None
    exposure = exposing.view(page.exposure, stories[0]) if page.exposure is not None else None
    template = _environment().get_template("page.html.j2")
    return template.render(page=page, stories=stories, difference=difference, mutation=mutation, exposure=exposure)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["inlined"] = _inlined
    environment.filters["mark"] = mark
    environment.filters["unbroken"] = _unbroken
    return environment


def _shown(value: object) -> object:
    """Return a value of a template with every character of its text visible; Markup is made from such text alone."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _inlined(name: str) -> Markup:
    """Return a file of this folder unchanged: the style sheet, the script."""
    return Markup(files(__package__).joinpath(name).read_text())


def _unbroken(words: str) -> Markup:
    """Return a rule's text with each option, and the `!` before it, in an element without line breaks."""
    parts = enumerate(_OPTION.split(visible(words)))  # every second part is an option
    return Markup("").join(Markup("<i>{}</i>").format(part) if number % 2 else escape(part) for number, part in parts)
