"""What a bed is made of: a host or a topology, with rules given or those of the default engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.bed_parts import parts
from testbed.docker import article
from testbed.docker.engines import DEFAULT_ENGINE, engine
from testbed.errors import TestbedError


def test_a_host_without_rules_has_those_of_the_default_engine(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {network_mode: bridge, ports: ['80:80']}}\n")
    for host in (article.HOST, tmp_path / "compose.yaml", str(tmp_path)):
        topology, rules = parts(host, None)
        assert topology.node("web").addresses
        assert rules.listing == engine(DEFAULT_ENGINE).rules(article.HOST).listing


def test_rules_are_a_rule_set_or_the_path_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.rules").write_text("*filter\n:FORWARD DROP\nCOMMIT\n")
    assert parts(article.topology(), article.ruleset()) == (article.topology(), article.ruleset())
    assert parts(article.HOST, tmp_path / "a.rules")[1] == parts(article.HOST, str(tmp_path / "a.rules"))[1]


@pytest.mark.parametrize(
    ("host", "rules", "what"),
    [
        (article.topology(), None, "a topology has no rules of its own"),
        (42, None, "42 describes no host"),
        (article.HOST, 42, "42 is no rule set"),
        ("/nowhere/compose.yaml", None, "/nowhere/compose.yaml"),
    ],
)
def test_other_values_are_refused_in_a_sentence(host: object, rules: object, what: str) -> None:
    with pytest.raises(TestbedError) as refused:
        parts(host, rules)  # type: ignore[arg-type]
    assert what in str(refused.value)
