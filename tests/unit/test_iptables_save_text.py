"""iptables-save text: read and written byte for byte, broken lines reported by number and text."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import Counters
from testbed.errors import RulesError
from testbed.rules import save

CAPTURES = Path(__file__).parent.parent / "data" / "captures"
CAPTURED = sorted(CAPTURES.glob("*/*/ip*tables-save.txt"))


def test_there_are_captures() -> None:
    assert len(CAPTURED) >= 40


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: "/".join(path.parts[-3:]))
def test_every_capture_comes_out_as_it_went_in(path: Path) -> None:
    text = path.read_text()
    ruleset = save.read(path)
    assert save.render(ruleset).encode() == path.read_bytes()
    rules = [line.split("] ", 1)[-1] for line in text.splitlines() if "-A " in line]
    assert [rule.text for _, rule in ruleset.rules] == rules
    assert sum(len(table.chains) for table in ruleset.tables) == sum(line[0] == ":" for line in text.splitlines())


def test_what_is_not_interpreted_is_kept() -> None:
    text = (
        "# a comment\n\n*raw\n:PREROUTING ACCEPT [3:120]\n# inside\n"
        '[1:2] -A PREROUTING -m comment --comment "it\'s\u2028\x85\f [5:6] -A \\"here\\"" '
        '-m u32 --u32 "0>>22&0x3C@0>>24=0" -j NOTRACK\n'
        "-A PREROUTING\nCOMMIT\n# end\n"
    )
    ruleset = save.parse(text)
    assert save.render(ruleset) == text
    quoted, bare = ruleset.table("raw").rules
    assert (quoted.counters, quoted.target, bare.target) == (Counters(1, 2), "NOTRACK", None)
    assert ruleset.table("raw").chains[0].counters == Counters(3, 120)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("filter\n", r"mine, line 1: 'filter' is not understood: a table begins with \*NAME"),
        ("*filter\n:INPUT\nCOMMIT\n", r"mine, line 2: ':INPUT' is not understood: expected a chain"),
        ("*filter\n:INPUT ACCEPT [0;0]\nCOMMIT\n", r"line 2: ':INPUT ACCEPT \[0;0\]'"),
        ("*filter\n-A\nCOMMIT\n", r"line 2: '-A' is not understood"),
        ("*filter\n-I INPUT -j DROP\nCOMMIT\n", r"line 2: '-I INPUT -j DROP' .* lists its rules with -A"),
        ("*filter\n\n[1:x] -A INPUT -j DROP\nCOMMIT\n", r"line 3: '\[1:x\] -A INPUT -j DROP' is not understood"),
        ('*nat\n-A INPUT -m comment --comment "half\nCOMMIT\n', r"line 2: .* a quote is not closed"),
        ("*nat\n-A INPUT -j DROP\n", r"mine: the table nat is not closed by a line COMMIT"),
        ("*nat\nCOMMIT\n-A INPUT -j DROP\n", r"line 3: '-A INPUT -j DROP'"),
        ("*nat\nCOMMIT\n*filter\nCOMMIT\n*nat\nCOMMIT\n", r"line 5: '\*nat' .* has been there already"),
    ],
    ids=[
        "no table",
        "chain",
        "counters",
        "rule",
        "command",
        "rule's counters",
        "quote",
        "no commit",
        "after commit",
        "twice",
    ],
)
def test_a_broken_line_is_named_by_number_and_text(text: str, said: str) -> None:
    with pytest.raises(RulesError, match=said):
        save.parse(text, "mine")


def test_lines_are_remembered_by_number() -> None:
    (rule,) = save.parse("# one\n*filter\n:INPUT ACCEPT\n-A INPUT -j DROP\nCOMMIT\n").table("filter").rules
    assert rule.line == 4


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"none\.rules cannot be read: No such file"):
        save.read(tmp_path / "none.rules")
    (tmp_path / "binary.rules").write_bytes(b"*filter\xff\xfe\n")
    with pytest.raises(RulesError, match=r"binary\.rules cannot be read: it is not text"):
        save.read(tmp_path / "binary.rules")


def test_a_policy_and_a_user_defined_chain_are_told_apart() -> None:
    built_in, own = save.parse("*filter\n:INPUT DROP [1:40]\n:MINE - [0:0]\nCOMMIT\n").table("filter").chains
    assert (built_in.name, built_in.policy, built_in.counters) == ("INPUT", "DROP", Counters(1, 40))
    assert (own.name, own.policy) == ("MINE", None)
