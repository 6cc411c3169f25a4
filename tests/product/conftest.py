"""Tests of what a person types, each on a machine of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from own_machine import Machine, own_machine
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture
def machine() -> Iterator[Machine]:
    with own_machine() as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("chromium is missing, which shows the page in this test: apt-get install chromium", pytrace=False)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])  # which root has to
        yield launched
        launched.close()
