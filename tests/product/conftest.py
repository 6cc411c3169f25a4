"""Tests of what a person types, each on a machine of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from own_machine import Machine, own_machine
from playwright.sync_api import Browser, Page, sync_playwright


@pytest.fixture
def machine() -> Iterator[Machine]:
    with own_machine() as made:
        yield made


@pytest.fixture
def opened(browser: Browser, folder: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page of a module's folder; at the end it has asked for nothing but itself, and complained of nothing."""
    pages: list[Page] = []
    asked: list[str] = []
    complaints: list[str] = []

    def open_page(name: str, fragment: str = "", **options: Any) -> Page:
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **options})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{(folder / f'{name}.html').as_uri()}{fragment}")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []
    assert asked
    assert all(url.startswith((folder.as_uri(), "about:", "data:")) for url in asked), asked


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("chromium is missing, which shows the page in this test: apt-get install chromium", pytrace=False)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])  # which root has to
        yield launched
        launched.close()
