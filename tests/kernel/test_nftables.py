"""Rule sets in nftables' own syntax: loaded, counted, complained of; the article's host as engine 29 protects it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from testbed import LINUX, WINDOWS, CounterReading, NftRuleset, Testbed
from testbed.docker import article
from testbed.docker.engines import native
from testbed.errors import MissingRequirement, RulesError
from testbed.kernel import programs
from testbed.kernel.namespace import quarantine
from testbed.kernel.requirements import require, requirements
from testbed.pytest_plugin import MakeBed
from testbed.replay import replay

ARTICLE = native.rules(article.HOST)
MASQUERADE = 'nat-postrouting-out__docker0 oifname != "docker0" ip saddr 172.17.0.0/16 masquerade comment "MASQUERADE"'
DIRECTLY = ("172.17.0.2", 80)
MakeNftBed = Callable[..., Testbed]


@pytest.fixture
def make_nft_bed() -> Iterator[MakeNftBed]:
    """Makes the article's host with a rule set of nftables; once, since iptables' two ways make no difference here."""
    with ExitStack() as ends:
        ends.enter_context(quarantine())
        yield lambda rules=ARTICLE: ends.enter_context(Testbed(article.topology(), rules))


@pytest.fixture
def bed(make_nft_bed: MakeNftBed) -> Testbed:
    return make_nft_bed()


def texts(reading: CounterReading) -> list[str]:
    return [f"{line}" for line, _ in reading]


# packets


AFTER_SYN = """
*ip docker-bridges
[1:52] -A nat-PREROUTING fib daddr type local jump nat-prerouting-and-output
[1:52] -A nat-prerouting-and-output iifname != "docker0" tcp dport 80 dnat to 172.17.0.2:80 comment "DNAT"
[1:52] -A filter-forward-in__docker0 ip daddr 172.17.0.2 tcp dport 80 accept
"""
AFTER_SYN_ACK = AFTER_SYN + "[1:52] -A filter-forward-out__docker0 ct state established,related accept\n"
AFTER_ACK = AFTER_SYN_ACK + "[1:40] -A filter-forward-in__docker0 ct state established,related accept\n"


def test_a_handshake_is_counted_exactly_after_each_packet(bed: Testbed) -> None:
    syn, syn_ack, ack = replay(bed, "client", article.PUBLISHED, WINDOWS)
    assert syn.result.translated == ("destination 192.168.66.100:80 > 172.17.0.2:80",)
    assert syn_ack.result.translated == ("source 172.17.0.2:80 > 192.168.66.100:80",)
    assert syn.counted == AFTER_SYN
    assert syn_ack.counted == AFTER_SYN_ACK
    assert ack.counted == AFTER_ACK


def test_a_connection_outward_is_masqueraded(bed: Testbed) -> None:
    with bed.counting() as counting:
        syn, *_ = bed.connect("web", ("203.0.113.10", 443), stack=LINUX).handshake()
    assert syn.translated == ("source 172.17.0.2:40000 > 192.168.66.100:40000",)
    assert (
        counting.result
        == f"""
        *ip docker-bridges
        [1:60] -A filter-forward-in__docker0 ct state established,related accept
        [1:52] -A filter-forward-out__docker0 ct state established,related accept
        [1:60] -A filter-forward-out__docker0 accept comment "OUTGOING"
        [1:60] -A {MASQUERADE}
        """
    )


def test_access_to_the_containers_own_address_is_dropped_before_it_is_routed(bed: Testbed) -> None:
    with bed.counting() as counting:
        assert not bed.connect("client", DIRECTLY, via="192.168.66.100").syn.delivered
    assert (
        counting.result
        == """
        *ip docker-bridges
        [1:52] -A raw-PREROUTING ip daddr 172.17.0.2 iifname != "docker0" drop comment "DROP DIRECT ACCESS"
        """
    )


def test_a_hundred_connections_are_counted_exactly(bed: Testbed) -> None:
    with bed.counting() as counting:
        for _ in range(100):
            bed.connect("client", article.PUBLISHED)
    rule = "-A nat-PREROUTING fib daddr type local jump nat-prerouting-and-output"
    assert str(counting.result.rule("ip docker-bridges", rule)) == "[100:5200]"


# what is in a reading


def test_a_reading_has_the_rules_with_a_counter_in_the_order_of_their_chains_and_no_policies(bed: Testbed) -> None:
    assert texts(bed.counters()) == [
        f"ip docker-bridges -A {rule}"
        for rule in (
            "nat-OUTPUT ip daddr != 127.0.0.0/8 fib daddr type local jump nat-prerouting-and-output",
            "nat-PREROUTING fib daddr type local jump nat-prerouting-and-output",
            'nat-prerouting-and-output iifname != "docker0" tcp dport 80 dnat to 172.17.0.2:80 comment "DNAT"',
            'raw-PREROUTING ip daddr 172.17.0.2 iifname != "docker0" drop comment "DROP DIRECT ACCESS"',
            "filter-forward-in__docker0 ct state established,related accept",
            'filter-forward-in__docker0 iifname "docker0" accept comment "ICC"',
            "filter-forward-in__docker0 ip daddr 172.17.0.2 tcp dport 80 accept",
            'filter-forward-in__docker0 drop comment "UNPUBLISHED PORT DROP"',
            "filter-forward-out__docker0 ct state established,related accept",
            'filter-forward-out__docker0 accept comment "OUTGOING"',
            MASQUERADE,
        )
    ]


def listed(bed: Testbed) -> list[tuple[str, str, str]]:
    """Table, rule and counters as `nft list ruleset` prints them."""
    found = []
    table = chain = ""
    for line in bed.host.command(["nft", "list", "ruleset"]).stdout.splitlines():
        if heading := re.fullmatch(r"table (.+) \{", line):
            table = heading[1]
        elif heading := re.fullmatch(r"\tchain (.+) \{", line):
            chain = heading[1]
        elif rule := re.fullmatch(r"\t\t(.*)counter packets (\d+) bytes (\d+) ?(.*)", line):
            found.append((table, f"-A {chain} {rule[1]}{rule[4]}".strip(), f"[{rule[2]}:{rule[3]}]"))
    return found


def test_they_equal_what_nft_prints(bed: Testbed) -> None:
    bed.connect("client", article.PUBLISHED).handshake()
    bed.connect("web", ("203.0.113.10", 443), stack=LINUX).handshake()
    bed.connect("client", DIRECTLY, via="192.168.66.100")
    bed.connect("client", ("192.168.66.100", 81))
    reading = bed.counters()
    assert [(line.table, line.text, str(counters)) for line, counters in reading] == listed(bed)
    assert len(reading.moved) == 8


def test_two_rules_of_the_same_text_are_told_apart(make_nft_bed: MakeNftBed) -> None:
    rules = "meta l4proto tcp counter\n meta l4proto tcp counter drop\n meta l4proto tcp counter"
    bed = make_nft_bed(
        NftRuleset(f"table ip t {{\n chain c {{\n type filter hook forward priority 0\n {rules}\n }}\n}}\n")
    )
    bed.connect("client", DIRECTLY, via="192.168.66.100")
    assert (
        bed.counters()
        == """
        *ip t
        [1:52] -A c meta l4proto tcp
        [1:52] -A c meta l4proto tcp drop
        [0:0] -A c meta l4proto tcp
        """
    )


TWO_FAMILIES = """
table ip t {
    counter total {
    }
    set seen {
        type ipv4_addr
        size 8
        flags dynamic
    }
    chain c {
        type filter hook forward priority 0
        counter
        counter name "total"
        add @seen { ip saddr counter }
        tcp dport { 80, 443 } counter comment "the counter's own"
    }
}
table inet t {
    chain c {
        type filter hook forward priority 1; policy drop
        ip daddr 172.17.0.2 counter
    }
}
"""


def test_tables_of_one_name_are_told_apart_by_family_and_other_kinds_of_counters_are_left_out(
    make_nft_bed: MakeNftBed,
) -> None:
    bed = make_nft_bed(NftRuleset(TWO_FAMILIES))
    assert not bed.connect("client", DIRECTLY, via="192.168.66.100").syn.delivered
    expected = """\
*ip t
[1:52] -A c
[1:52] -A c tcp dport { 80, 443 } comment "the counter's own"
*inet t
[1:52] -A c ip daddr 172.17.0.2"""
    assert str(bed.counters()) == expected
    assert bed.counters() == expected


def test_a_counter_in_a_chain_without_a_name_is_said_to_be_nobodys(make_nft_bed: MakeNftBed) -> None:
    bed = make_nft_bed(NftRuleset("table ip t {\n chain c {\n tcp dport 80 jump {\n counter accept\n }\n }\n}\n"))
    with pytest.raises(RulesError, match=r"table ip t has a counter in a chain without a name[\s\S]*Give that chain"):
        bed.counters()


# changes


def by_hand(bed: Testbed, *words: str) -> None:
    finished = bed.host.command(["nft", *words])
    assert finished.returncode == 0, finished.stderr


def test_a_rule_added_by_hand_is_read_too(bed: Testbed) -> None:
    before = texts(bed.counters())
    by_hand(bed, "add", "rule", "ip", "docker-bridges", "raw-PREROUTING", "tcp", "dport", "80", "counter")
    bed.connect("client", article.PUBLISHED).handshake()
    assert str(bed.counters().rule("ip docker-bridges", "-A raw-PREROUTING tcp dport 80")) == "[2:92]"
    by_hand(bed, "flush", "chain", "ip", "docker-bridges", "raw-PREROUTING")
    assert texts(bed.counters()) == [text for text in before if "raw-PREROUTING" not in text]


def test_sets_without_a_name_are_not_mixed_up_between_beds(make_nft_bed: MakeNftBed) -> None:
    """The rules are alike but for the elements of their sets, which the kernel keeps apart from them."""
    for port in (443, 8443):
        bed = make_nft_bed()
        by_hand(bed, "add", "rule", "ip", "docker-bridges", "raw-PREROUTING", f"tcp dport {{ 80, {port} }} counter")
        assert f"ip docker-bridges -A raw-PREROUTING tcp dport {{ 80, {port} }}" in texts(bed.counters())


def test_rules_replaced_by_hand_are_read_by_their_new_words(bed: Testbed) -> None:
    """The table is made anew, so that its handles begin anew as well."""
    other = ARTICLE.text.replace("tcp dport 80 counter accept", "tcp dport 443 counter accept")
    bed.counters()
    assert bed.host.command(["nft", "-f", "-"], f"flush ruleset\n{other}").returncode == 0
    rule = "ip docker-bridges -A filter-forward-in__docker0 ip daddr 172.17.0.2 tcp dport 443 accept"
    assert rule in texts(bed.counters())


def test_loading_replaces_all_rules_and_begins_at_zero(bed: Testbed) -> None:
    bed.connect("client", article.PUBLISHED).handshake()
    by_hand(bed, "add", "table", "inet", "mine")
    rules = bed.ruleset()
    bed.load(rules)
    assert bed.ruleset() == rules
    assert bed.counters() == ""
    bed.load(ARTICLE)
    assert "mine" not in bed.host.command(["nft", "list", "ruleset"]).stdout
    bed.connect("client", article.PUBLISHED)
    assert bed.counters() == AFTER_SYN


def test_beds_of_either_kind_stand_beside_each_other(make_nft_bed: MakeNftBed) -> None:
    first, second = make_nft_bed(), make_nft_bed()
    with Testbed.article() as iptables:
        for bed in (first, iptables):
            assert bed.connect("client", article.PUBLISHED).handshake()
        assert first.counters() == AFTER_ACK
        assert second.counters() == ""
        assert iptables.counters().rule("filter", "-A FORWARD -j DOCKER-USER").packets == 3
    assert second.connections() == []


def test_the_rule_set_decides_whatever_backend_the_fixture_runs_with(make_bed: MakeBed) -> None:
    bed = make_bed(rules=ARTICLE)
    assert (bed.backend.name, bed.backend.program) == ("nftables", "nft")
    bed.connect("client", article.PUBLISHED)
    assert bed.counters() == AFTER_SYN


# complaints


def edited(old: str, new: str) -> str:
    assert old in ARTICLE.text
    return ARTICLE.text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            edited("related counter accept", "related countr accept"),
            r"my\.nft, line 54: 'ct state established,related countr accept' is refused by nft: .*unexpected accept",
        ),
        (
            f"add rule ip docker-bridge c counter\n{ARTICLE.text}",
            r"my\.nft, line 1: 'add rule ip docker-bridge c counter' is refused by nft: .*No such file",
        ),
        (
            edited("chain raw-PREROUTING {", "chain raw-PREROUTING"),
            r"my\.nft, line 48: 'chain raw-PREROUTING' is refused by nft: .*expecting '{'",
        ),
        (
            ARTICLE.text.removesuffix("}\n"),
            r"my\.nft, line 71: the end of the file is refused by nft: .*unexpected end of file",
        ),
        (
            edited("jump filter-forward-in__docker0", "jump nowhere"),
            r"my\.nft, line 4: 'elements = .*nowhere }' is refused by nft: .*No such file",
        ),
        (edited("tcp dport 80", "tcp dport eighty"), r"my\.nft, line 45: '.*eighty.*' is refused by nft: .*service"),
        ("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n", r"my\.nft, line 1: '\*filter' is refused by nft: "),
        ("# only a comment\n", r"my\.nft has no rules"),
    ],
    ids=["statement", "table", "brace that opens", "brace that closes", "chain", "port", "iptables", "nothing"],
)
def test_broken_text_is_reported_with_file_line_and_nfts_own_complaint_and_nothing_is_changed(
    bed: Testbed, text: str, said: str
) -> None:
    bed.connect("client", article.PUBLISHED)
    before = bed.ruleset()
    with pytest.raises(RulesError, match=said) as caught:
        bed.load(NftRuleset(text, "my.nft"))
    assert caught.value.remedy
    assert bed.ruleset() == before
    assert bed.counters() == AFTER_SYN


def test_a_comment_at_the_end_of_a_file_is_one_though_the_line_is_not_ended(bed: Testbed) -> None:
    bed.load(NftRuleset('table ip mine {\n}\n# include "/etc/hostname"', "my.nft"))
    assert "table ip mine" in bed.ruleset().text


def test_a_bed_with_broken_rules_does_not_come_about(make_nft_bed: MakeNftBed) -> None:
    with pytest.raises(RulesError, match=r"my\.nft, line 1: 'table' is refused by nft"):
        make_nft_bed(NftRuleset("table\n", "my.nft"))


def test_a_bed_keeps_to_one_kind_of_rules(bed: Testbed) -> None:
    with pytest.raises(RulesError, match="the article's rule set is of another kind"):
        bed.load(article.ruleset())
    with Testbed.article() as iptables, pytest.raises(RulesError, match=r"29-nftables is of another kind"):
        iptables.load(ARTICLE)


@pytest.mark.usefixtures("bed")
def test_iptables_text_is_not_loaded_by_nftables() -> None:
    with pytest.raises(RulesError, match=r"is iptables' text, which nftables does not load[\s\S]*nft or legacy"):
        Testbed(article.topology(), article.ruleset(), "nftables")


def test_nft_is_needed_for_such_beds_alone(monkeypatch: pytest.MonkeyPatch, make_nft_bed: MakeNftBed) -> None:
    find = programs.find
    monkeypatch.setattr(programs, "find", lambda program: None if program == "nft" else find(program))
    with pytest.raises(MissingRequirement, match=r"the program nft is not installed[\s\S]*invoke doctor --fix"):
        make_nft_bed()
    with pytest.raises(MissingRequirement, match=r"nft is missing"):
        require("nftables")
    require("nft")
    assert "nft" not in [requirement.name for requirement in requirements()]
    assert not [r.name for r in requirements("nftables") if r.name.startswith("iptables")]
