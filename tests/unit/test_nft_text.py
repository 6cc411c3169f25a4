"""Rule sets in nftables' own syntax as text, and what nft lists of them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from testbed import CounterReading, Counters, NftRuleset
from testbed.errors import RulesError
from testbed.rules import nft

ARTICLE = Path(str(files("testbed.docker").joinpath("article.nft")))


def test_a_file_is_loaded_as_it_was_written_byte_for_byte() -> None:
    ruleset = nft.read(ARTICLE)
    assert ruleset.rendered.encode() == ARTICLE.read_bytes()
    assert ruleset.source == str(ARTICLE)


def test_the_article_says_where_its_rules_were_read_off() -> None:
    assert "integration/network/bridge/nftablesdoc" in nft.read(ARTICLE).text.partition("\ntable ")[0]


def test_equal_text_is_an_equal_rule_set_wherever_it_came_from() -> None:
    assert NftRuleset("table ip t {\n}\n", "here") == NftRuleset("table ip t {\n}\n", "there")
    assert hash(NftRuleset("a", "here")) == hash(NftRuleset("a", "there"))
    assert NftRuleset("a") != NftRuleset("b")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("missing.nft", None, "No such file"), ("binary.nft", b"\xff\xfe\x00", "it is not text")],
    ids=["missing", "binary"],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RulesError, match=rf"{name} cannot be read: {reason}[\s\S]*nft list ruleset"):
        nft.read(path)


@pytest.mark.parametrize(
    ("text", "nothing"),
    [("", True), ("# a comment\n\n \t# another\n", True), ("# a comment\ntable ip t {\n}\n", False)],
    ids=["empty", "comments", "a table"],
)
def test_it_is_known_whether_a_rule_set_says_anything(text: str, nothing: bool) -> None:
    assert NftRuleset(text).says_nothing is nothing


LISTING = """\
table ip docker-bridges { # handle 1
\tcomment "of the engine"
\tmap jumps { # handle 9
\t\ttype ifname : verdict
\t\telements = { "docker0" : jump a,
\t\t\t     "bridge1" : jump a }
\t}

\tchain a { # handle 2
\t\ttype filter hook forward priority filter; policy accept;
\t\tct state established,related counter accept # handle 4
\t\toifname vmap @jumps # handle 5
\t\tcounter # handle 6
\t\ttcp dport 80 counter jump {
\t\t\tip saddr 192.0.2.1 counter accept
\t\t} # handle 8
\t}
}
table ip6 docker-bridges { # handle 2
\tchain a { # handle 1
\t\tadd @seen { ip6 saddr counter } counter comment "a # handle 5" # handle 4
\t\tcounter name "all" counter drop # handle 6
\t\tlog prefix "the counter said" counter # handle 7
\t\tct mark 0x1 log prefix "no counter here" # handle 10
\t}
}
"""


def test_the_words_of_a_listing_are_known_by_table_and_handle_without_their_counter() -> None:
    assert nft.by_handle(LISTING) == {
        ("ip docker-bridges", 4): "ct state established,related accept",
        ("ip docker-bridges", 5): "oifname vmap @jumps",
        ("ip docker-bridges", 6): "",
        ("ip docker-bridges", 8): "tcp dport 80 jump { ip saddr 192.0.2.1 counter accept }",
        ("ip6 docker-bridges", 4): 'add @seen { ip6 saddr counter } comment "a # handle 5"',
        ("ip6 docker-bridges", 6): 'counter name "all" drop',
        ("ip6 docker-bridges", 7): 'log prefix "the counter said"',
        ("ip6 docker-bridges", 10): 'ct mark 0x1 log prefix "no counter here"',
    }


def test_a_listing_of_no_rules_has_no_words() -> None:
    assert nft.by_handle("") == {}


def test_an_expectation_names_a_table_with_its_family() -> None:
    reading = CounterReading.of(
        [
            ("ip docker-bridges", '-A out counter name "all" accept', Counters(1, 52)),
            ("ip docker-bridges", "-A out", Counters(2, 104)),
            ("ip6 docker-bridges", "-A out", Counters()),
        ]
    )
    assert (
        reading
        == """
        *ip docker-bridges
        [1:52] -A out counter name "all" accept
        [2:104] -A out
        """
    )
    assert reading != "*ip6 docker-bridges\n[2:104] -A out"
