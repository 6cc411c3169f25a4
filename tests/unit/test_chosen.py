"""The host and the rules that options ask for."""

from __future__ import annotations

import pytest

from testbed.errors import TestbedError
from testbed.tasks.chosen import choose
from testbed.tasks.host_options import host_options


@pytest.mark.parametrize("empty", ["", " "])
@pytest.mark.parametrize("option", ["host", "engine", "rules"])
def test_an_empty_value_is_no_default(option: str, empty: str) -> None:
    given: dict[str, str | None] = {"host": None, "engine": None, "rules": None, option: empty}
    with pytest.raises(TestbedError, match=f"--{option} is empty") as caught:
        choose(host_options(given["host"]), given["engine"], given["rules"])
    assert "leave it out" in caught.value.remedy


@pytest.mark.parametrize(
    ("engine", "source"),
    [
        ("28", "the rules of engine 28.2.2 for the article"),
        ("28.3.2", "the rules of engine 28.2.2 for the article (28.3.2 writes the same)"),
        ("v26.1.5", "the rules of engine 26.1 for the article (v26.1.5 writes the same)"),
        ("v27.5.1", "the rules of engine 27 for the article (v27.5.1 writes the same)"),
        ("29-nftables", "the rules of engine 29-nftables for the article"),
    ],
)
def test_a_version_that_has_the_rules_of_another_says_so(engine: str, source: str) -> None:
    assert choose(None, engine, None).rules.source == source


def test_without_options_there_is_the_article() -> None:
    assert choose(None, None, None).rules.source == "the article's rule set"
