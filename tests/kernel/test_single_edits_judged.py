"""One rule more, one for each kind of clause whose both sides no probe asks: found, or named with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.behaviour.comparison import Comparison, Given, compare
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import article
from testbed.rules import AnyRuleset, NftRuleset, rulefile, save

ARTICLE = save.render(article.ruleset())
TRANSLATED = (Path(__file__).parents[1] / "data" / "article-translated.nft").read_text()
USER, FORWARD, INPUT, OUTPUT = "DOCKER-USER", "FORWARD", "INPUT", "OUTPUT"
MORE = [  # a chain of the table filter, and a rule at its head
    (FORWARD, "-m length --length 1000:1500 -j ACCEPT"),
    (USER, "-m length --length 1000:65535 -j DROP"),
    (USER, "-m ttl --ttl-lt 5 -j DROP"),
    (INPUT, "-m ttl --ttl-eq 255 -j DROP"),
    (USER, "-m dscp --dscp 0x2e -j DROP"),
    (USER, "-m tos --tos 0x10/0xff -j DROP"),
    (USER, "-p tcp -m ecn --ecn-tcp-ece -j DROP"),
    (USER, "-p icmp -m icmp --icmp-type timestamp-request -j DROP"),
    (USER, "-p icmp -m icmp --icmp-type 3/4 -j DROP"),
    (INPUT, "-p icmp -m icmp --icmp-type 5 -j DROP"),
    (USER, "-p gre -j DROP"),
    (FORWARD, "-p sctp -m sctp --dport 80 -j ACCEPT"),
    (FORWARD, "-p esp -j ACCEPT"),
    (INPUT, "-p igmp -j DROP"),
    (INPUT, "! -p tcp -m ttl --ttl-gt 200 -j DROP"),
    (FORWARD, "! -p tcp -j ACCEPT"),
    (USER, "-f -j DROP"),
    (USER, "-p tcp -m tcp --tcp-flags FIN,SYN FIN,SYN -j DROP"),
    (USER, "-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE -j DROP"),
    (USER, "-p tcp -m tcp --tcp-option 8 -j DROP"),
    (USER, "-p udp -m udp --sport 53 --dport 1024:65535 -j DROP"),
    (FORWARD, "-p tcp -m tcp --sport 20 -j ACCEPT"),
    (FORWARD, "-p tcp -m tcp --sport 40000:40019 -j DROP"),
    (FORWARD, "-p udp -m multiport --sports 123,5353 -j ACCEPT"),
    (INPUT, "-p tcp -m multiport --ports 5000:5010 -j DROP"),
    (USER, "-i ens33 -o docker0 -p tcp -m conntrack --ctstate ESTABLISHED --ctdir ORIGINAL -j DROP"),
    (USER, "-i ens33 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -m conntrack --ctstate ESTABLISHED -j DROP"),
    (USER, "-m conntrack --ctstate UNTRACKED -j DROP"),
    (USER, "-m conntrack --ctstatus ASSURED -j DROP"),
    (USER, "-m conntrack --ctexpire 1:10 -j DROP"),
    (USER, "-m conntrack --ctorigsrc 198.51.100.7/32 -j DROP"),
    (USER, "-s 198.51.100.0/24 -j DROP"),
    (USER, "-s 172.17.0.77/32 -i ens33 -j DROP"),
    (FORWARD, "-s 192.168.66.7/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 5432 -j ACCEPT"),
    (FORWARD, "-d 172.17.0.128/25 -j ACCEPT"),
    (INPUT, "-m iprange --src-range 192.0.2.1-192.0.2.3 -j DROP"),
    (INPUT, "-p tcp -m tcp --dport 0 -j DROP"),
    (USER, "-m mac --mac-source 00:11:22:33:44:55 -j DROP"),
    (OUTPUT, "-m owner --uid-owner 12345 -j DROP"),
    (USER, "-m mark --mark 0x7 -j DROP"),
    (USER, '-m string --string "attack" --algo bm -j DROP'),
    (USER, '-m u32 --u32 "0x6&0xff=0x2f" -j DROP'),
    (USER, "-m time --timestart 03:00:00 --timestop 03:00:01 -j DROP"),
    (USER, "-m statistic --mode random --probability 0.00000000047 -j DROP"),
    (USER, "-p udp -m limit --limit 1/min --limit-burst 1 -j DROP"),
    (FORWARD, "-m recent --rcheck --name knocked --rsource -j ACCEPT"),
    (USER, "-m connlimit --connlimit-above 500 -j DROP"),
    (FORWARD, "-p icmp -m quota --quota 1 -j DROP"),
    (USER, "-m pkttype --pkt-type multicast -j DROP"),
    (USER, "-m addrtype --dst-type MULTICAST -j DROP"),
    (USER, "-m physdev --physdev-in veth0 -j DROP"),
    (USER, "-i tun0 -j DROP"),
    (USER, "-j MARK --set-mark 7"),
    (USER, "-p tcp -m tcp --dport 80 -j NFQUEUE --queue-num 3 --queue-bypass"),
]


def silent(_: int) -> Callable[[], None]:
    return lambda: None


def compared(old: AnyRuleset, new: AnyRuleset) -> Comparison:
    return compare(article.HOST, False, [Given(RulesetVariant(old, "nft")), Given(RulesetVariant(new, "nft"))], silent)


def at_the_head(chain: str, spec: str) -> tuple[AnyRuleset, int]:
    """The article's rules with one more, and its line."""
    lines = ARTICLE.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith(f"-A {chain} ") or line == "COMMIT")
    lines.insert(place, f"-A {chain} {spec}")
    return rulefile.parse("\n".join(lines) + "\n", "new.rules"), place + 1


def test_there_are_enough_kinds() -> None:
    assert len({spec for _, spec in MORE}) == len(MORE) > 40


@pytest.mark.parametrize(("chain", "spec"), MORE, ids=[f"{chain} {spec}" for chain, spec in MORE])
def test_a_rule_that_no_probe_decides_about_is_found_or_named_with_its_line(chain: str, spec: str) -> None:
    new, line = at_the_head(chain, spec)
    made = compared(article.ruleset(), new)
    named = [(own.side, own.line.line) for own in made.lines]
    decided = [by for change in made.found for by in (*change.old.by, *change.new.by)]
    assert (1, line) in named or any(by.endswith(f"-A {chain} {spec}") for by in decided)
    assert made.found or made.open


TABLE = "table {} own {{{{\n\tchain f {{{{\n\t\ttype filter hook {} priority 0;\n\t\t{{}}\n\t}}}}\n}}}}\n"
FURTHER_TABLES = [
    (TABLE.format("netdev", 'ingress device "ens33"'), "tcp dport 80 drop"),
    (TABLE.format("bridge", "forward"), "ip protocol tcp drop"),
    (TABLE.format("ip", "forward"), "ip length > 1000 drop"),
    (TABLE.format("ip", "forward"), "tcp option sack-perm exists drop"),
    (TABLE.format("ip6", "forward"), "ip6 hoplimit < 5 drop"),
]


@pytest.mark.parametrize(("table", "rule"), FURTHER_TABLES, ids=[rule for _, rule in FURTHER_TABLES])
def test_a_rule_of_nftables_that_no_probe_decides_about_is_named_with_its_line(table: str, rule: str) -> None:
    made = compared(NftRuleset(TRANSLATED, "old.nft"), NftRuleset(TRANSLATED + table.format(rule), "new.nft"))
    line = next(number for number, text in enumerate((TRANSLATED + table.format(rule)).splitlines(), 1) if rule in text)
    assert (1, line) in [(own.side, own.line.line) for own in made.lines]


def test_equal_rule_sets_of_both_ways_leave_nothing_open() -> None:
    for rules in (article.ruleset(), NftRuleset(TRANSLATED, "own.nft")):
        made = compared(rules, rules)
        assert (made.found, made.open) == ((), False)
