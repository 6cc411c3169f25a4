"""What rules may not say: options for iptables itself, statements that read files, names of hosts."""

from __future__ import annotations

import pytest

from testbed import NftRuleset, Ruleset
from testbed.docker import article
from testbed.errors import RulesError
from testbed.rules import forbidden, rulefile, save

SETS = """\
create bad hash:ip,port family inet
add bad 192.0.2.1,tcp:http
create cards hash:mac
add cards 02:42:ac:11:00:02
"""


@pytest.mark.parametrize(
    "spec",
    [
        "-M /tmp/program -j DROP",
        "-nvM/tmp/program",
        "--modprobe=/tmp/program",
        "--modp /tmp/program",
        "-h",
        "-V",
        "-j DROP -h",
        "-nV",
        "--help",
        "--vers",
        "-s blocked.example.com -j DROP",
        "! -d a.example.com,192.0.2.1 -j DROP",
        "-s ! blocked.example.com/24 -j DROP",
        "--source=blocked.example.com -j DROP",
        "-s localhost -j DROP",
        "-j DNAT --to-destination web.example.com:80",
        "-j TEE --gateway tap.example.com",
        "-m conntrack --ctorigdst web.example.com -j DROP",
        '"-h"',
        '-"M" /tmp/program',
        "-m comment --comment ' -h '",
        '-s "blocked.example.com" -j DROP',
        "-j DROP\0",
        "-j DROP\n-A INPUT -j ACCEPT",
        '-m comment --comment "half',
    ],
)
def test_what_a_rule_may_not_say_is_refused_when_read_and_when_inserted(spec: str) -> None:
    assert forbidden.in_rule(spec)
    with pytest.raises(RulesError, match=r"refused|line 3"):
        article.ruleset().insert("filter", "INPUT", spec)
    if "\n" not in spec:
        with pytest.raises(RulesError, match="mine, line 3: ") as caught:
            save.parse(f"*filter\n:INPUT ACCEPT [0:0]\n-A INPUT {spec}\nCOMMIT\n", "mine")
        assert caught.value.remedy


@pytest.mark.parametrize(
    "spec",
    [
        "-s 192.0.2.1/32 -d 2001:db8::1/128 -j DROP",
        "-s 10.0.0.0/255.0.0.0,192.0.2.1",
        "-m comment --comment -h -j DROP",
        '-m comment --comment "-M /x --help -s host.example.com"',
        '-j LOG --log-prefix "-s host: "',
        "-p tcp -m tcp --dport http -j MARK --set-xmark 0x1/0xffffffff",
        "-j DNAT --to-destination [fd01::2]:80",
        "-j DNAT --to-destination 172.17.0.2-172.17.0.5:80-90 --persistent",
        "-m statistic --mode random --probability 0.5",
        "-m hashlimit --hashlimit-above 1/sec --hashlimit-mode srcip --hashlimit-name x",
        '-m string --string "example.com" --algo bm --to 65535',
        "-m mac --mac-source 02:42:ac:11:00:02",
        "-m set ! --match-set bad src -j DROP",
        "-i eth0.100 -o br-lan -j MASQUERADE",
        "-m owner --uid-owner nobody -j ACCEPT",
    ],
)
def test_rules_as_iptables_save_prints_them_are_let_through(spec: str) -> None:
    assert forbidden.in_rule(spec) == ""


@pytest.mark.parametrize("line", ["add bad blocked.example.com,tcp:80", "add cards 02:42:ac:11:00:03 -file /etc/x"])
def test_what_a_set_may_not_say_is_refused_with_its_line(line: str) -> None:
    rules = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
    ruleset = rulefile.parse(rules + SETS)
    assert isinstance(ruleset, Ruleset)
    assert ruleset.sets == SETS
    with pytest.raises(RulesError, match=line):
        rulefile.parse(f"{rules}{SETS}{line}\n")


CHAIN = "table ip t {\n\tchain c {\n\t\ttype filter hook input priority 0\n\t\t%s\n\t}\n}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('include "/etc/hostname"', "line 1: 'include .* a rule file includes no others"),
        ('table ip t { }\n\n  include "./*.nft"\n', "line 3: "),
        ('define x = 1; include "/etc/hostname"\n', "line 1: "),
        ('table ip t {\n chain c { include "/dev/zero"\n}\n}\n', "line 2: "),
        ('flush ruleset\n\\\ninclude\\\n"/etc/hostname"\n', "line 3: "),
        ('table ip t { comment "a"; include "x"\n}', "line 1: "),
        ("table ip t { chain c { comment \"open\n }\n}\ninclude '/etc/x'\n", "line 4: "),
        ("table ip t { }\nmonitor\n", "line 2: 'monitor' .* sets no rules"),
        ("table ip t { }; list ruleset", "line 1: .* sets no rules"),
        ("table ip t { }\0\n", "line 1: .* NUL byte"),
        (CHAIN % "ip saddr blocked.example.com drop", "line 4: .* blocked.example.com is the name of a host"),
        (CHAIN % 'ip saddr != "blocked.example.com" drop', "line 4: "),
        (CHAIN % "ip daddr { 192.0.2.1, myhost } drop", "line 4: .* myhost is the name"),
        (CHAIN % "dnat to web.example.com:80", "line 4: .* web.example.com is the name"),
        ("define bad = { a.example.com }\n" + CHAIN % "ip saddr $bad drop", "line 5: .* a.example.com"),
        ("table ip t {\n set s {\n type ipv4_addr\n elements = { 192.0.2.1, b.example.com }\n }\n}\n", "line 4: "),
        ("table ip t { }\nadd element ip t s { c.example.com }\n", "line 2: "),
    ],
)
def test_what_a_file_for_nft_may_not_say_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(RulesError, match=f"mine, {said}") as caught:
        NftRuleset(text, "mine")
    assert caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        '# include "x"\ntable ip t { comment "include \'x\'; monitor"\n}\n',
        "table ip include-web {\n\tchain monitor {\n\t}\n}\n",
        "define bad = { 192.0.2.1, 198.51.100.0/24 }\n" + CHAIN % "ip saddr $bad drop",
        CHAIN % "ip saddr vmap { 192.0.2.1 : drop, 192.0.2.2 : jump a.b }",
        CHAIN % "dnat ip to tcp dport map { 80 : 192.0.2.1 }",
        CHAIN % "dnat to ip saddr map @m",
        CHAIN % "ip saddr . tcp dport { 192.0.2.1 . http } drop",
        CHAIN % 'ip6 saddr { 2001:db8::1, ::1 } oif "eth0.100" drop',
        CHAIN % 'ip saddr 192.0.2.1 log prefix "ip saddr a.example.com "',
        CHAIN % "ip saddr & 255.255.0.0 == 192.0.0.0 ct mark set ct mark and 0xff counter reset",
        'table ip t {\n set s {\n type ipv4_addr\n elements = { 192.0.2.1 timeout 1h2m comment "x.y" }\n }\n}\n',
        "table ip t {\n map m {\n type ipv4_addr : verdict\n elements = { 192.0.2.1 : jump a.b }\n }\n}\n",
    ],
)
def test_other_words_for_nft_are_let_through(text: str) -> None:
    assert NftRuleset(text).text == text
