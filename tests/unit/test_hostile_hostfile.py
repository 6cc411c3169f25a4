"""A host file that would exhaust time, memory or the stack is refused in one sentence with its line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from testbed.docker import hostfile
from testbed.errors import RulesError, TopologyError
from testbed.rules import save

HOSTILE = Path(__file__).parents[1] / "data" / "hostile"
BOMB = "\n".join(
    ['x0: &x0 ["80:80"]', *(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 30)), "services: {}"]
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ((HOSTILE / "control-char.yaml").read_text(), r"line 3: the character \\x06 is not allowed in YAML"),
        ("services:\n  web: {}\x00", r"line 2: the character \\x00 is not allowed"),
        ("\x1b[2J", r"line 1: the character \\x1b is not allowed"),
        ("services:\n  a\ud800: {}", r"line 2: the character \\ud800 is not allowed"),
        ("\n" + "[" * 3000, "line 2: this is no YAML .it is nested more than 50 deep"),
        ("\n" + "{a: " * 3000, "line 2: this is no YAML .it is nested more than 50 deep"),
        ("\n".join(" " * n + "a:" for n in range(1000)), "line 50: this is no YAML .it is nested more than 50 deep"),
        ("- " * 3000, "nested more than 50 deep"),
        (BOMB, "line 6: this is no YAML .its aliases repeat more than 100000 values"),
        ("services: &a\n  web: *a\n", "line 2: an alias contains itself"),
        ("services:\n  ? [web]\n  : {}\n", "line 2: a key is a single value"),
        ("#" * 1_000_001, "the host file has 1000001 characters: too many"),
        ("services: !!python/object/apply:os.system [id]\n", "line 1: keys with values are expected"),
    ],
)
def test_a_hostile_host_file_is_refused_with_its_line(text: str, said: str) -> None:
    began = time.process_time()
    with pytest.raises(TopologyError, match=said) as refused:
        hostfile.parse(text)
    assert refused.value.remedy
    assert "\x1b" not in str(refused.value)
    assert time.process_time() - began < 5


def test_a_large_host_file_is_read() -> None:
    text = "services:\n" + "".join(f"  web{n}: {{ports: ['{1000 + n}:80']}}\n" for n in range(200))
    assert len(hostfile.parse(text).containers) == 200
    assert hostfile.parse("services:\n  a1: &a {ports: []}\n  a2: *a\n").containers[1].name == "a2"


@pytest.mark.parametrize(
    ("spec", "option"),
    [
        ("-s ! -o docker0", "-s"),
        ("-i", "-i"),
        ("! -d -j ACCEPT", "-d"),
        ("-p -j ACCEPT", "-p"),
        ("-p tcp --dport -j ACCEPT", "--dport"),
        ("-p tcp --tcp-flags", "--tcp-flags"),
        ("-m", "-m"),
        ("-m conntrack --ctstate -j ACCEPT", "--ctstate"),
        ("-m set --match-set -j DROP", "--match-set"),
        ("-j", "-j"),
        ("-g", "-g"),
        ("-m comment --comment -j ACCEPT", "--comment"),
        ("--protocol ! --jump DROP", "--protocol"),
    ],
)
def test_a_clause_without_its_value_is_refused_with_its_line(spec: str, option: str) -> None:
    text = f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD {spec}\nCOMMIT\n"
    with pytest.raises(RulesError, match=f"my.rules, line 3: .* is not understood: {option} has no value"):
        save.parse(text, "my.rules")
