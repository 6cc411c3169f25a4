"""Engine 29 with nftables: the rules that moby lists, line by line."""

from __future__ import annotations

import re
from difflib import ndiff
from pathlib import Path

import pytest

from testbed.docker import article, hostfile
from testbed.docker.engines import engine_or_native
from testbed.docker.host import DockerHost
from testbed.rules.nft import NftRuleset

LISTINGS = Path(__file__).parent.parent / "data" / "listings" / "29-nftables"
NETWORK = """
networks:
  bridge1:
    ipam: {config: [{subnet: 192.0.2.0/24}]}
    driver_opts: {com.docker.network.bridge.name: bridge1OPTIONS}
services: {c1: {networks: [bridge1], ports: ['8080:80']}}
"""
INTERNAL = """
networks:
  one:
    internal: true
    ipam: {config: [{subnet: 198.51.100.0/24}]}
    driver_opts: {com.docker.network.bridge.name: bridgeICC}
  two:
    internal: true
    ipam: {config: [{subnet: 203.0.113.0/24}]}
    driver_opts: {com.docker.network.bridge.name: bridgeNoICC, com.docker.network.bridge.enable_icc: 'false'}
services: {c1: {networks: [one]}, c2: {networks: [two]}}
"""
PUBLISHED = NETWORK.replace("OPTIONS", "")


def written(host: DockerHost) -> list[str]:
    rules = engine_or_native("29-nftables").rules(host)
    assert isinstance(rules, NftRuleset)
    return rules.text.splitlines()


def listed(name: str) -> list[str]:
    """A listing; of newer nft, which calls the priority of an output hook by a name that nft 1.0.6 does not take."""
    return (LISTINGS / name).read_text().replace("output priority dstnat", "output priority -100").splitlines()


@pytest.mark.parametrize(("text", "name"), [(PUBLISHED, "published.nft"), (INTERNAL, "internal.nft")])
def test_the_model_writes_what_moby_lists(text: str, name: str) -> None:
    assert written(hostfile.parse(text)) == listed(name)


def option(key: str, value: str) -> str:
    return NETWORK.replace("OPTIONS", f", com.docker.network.bridge.{key}: '{value}'")


@pytest.mark.parametrize(
    ("text", "differences"),
    [
        (
            PUBLISHED.replace("8080:80", "127.0.0.1:8080:80"),
            [
                '- iifname != "bridge1" tcp dport 8080 counter dnat to 192.0.2.2:80 comment "DNAT"',
                '+ iifname != "bridge1" ip daddr 127.0.0.1 tcp dport 8080 counter dnat to 192.0.2.2:80 comment "DNAT"',
                '+ iifname != "lo" ip daddr 127.0.0.1 tcp dport 8080 counter drop comment "DROP REMOTE LOOPBACK"',
            ],
        ),
        (
            option("enable_icc", "false"),
            [
                '- iifname "bridge1" counter accept comment "ICC"',
                '+ iifname "bridge1" counter drop comment "ICC"',
            ],
        ),
        (
            "daemon: {userland-proxy: false}\n" + PUBLISHED,
            [
                "- ip daddr != 127.0.0.0/8 fib daddr type local counter jump nat-prerouting-and-output",
                "+ fib daddr type local counter jump nat-prerouting-and-output",
                '- iifname != "bridge1" tcp dport 8080 counter dnat to 192.0.2.2:80 comment "DNAT"',
                '+ tcp dport 8080 counter dnat to 192.0.2.2:80 comment "DNAT"',
                '+ fib saddr type local counter masquerade comment "MASQUERADE FROM HOST"',
                '+ fib saddr type local counter masquerade comment "MASQUERADE FROM HOST"',
                '+ ip saddr 192.0.2.2 ip daddr 192.0.2.2 tcp dport 80 counter masquerade comment "MASQ TO OWN PORT"',
            ],
        ),
        (
            option("gateway_mode_ipv4", "nat-unprotected"),
            [
                '- ip daddr 192.0.2.2 iifname != "bridge1" counter drop comment "DROP DIRECT ACCESS"',
                "- ip daddr 192.0.2.2 tcp dport 80 counter accept",
                '- counter drop comment "UNPUBLISHED PORT DROP"',
                '+ counter accept comment "UNPROTECTED"',
            ],
        ),
        (
            option("gateway_mode_ipv4", "routed"),
            [
                '- iifname != "bridge1" tcp dport 8080 counter dnat to 192.0.2.2:80 comment "DNAT"',
                '- ip daddr 192.0.2.2 iifname != "bridge1" counter drop comment "DROP DIRECT ACCESS"',
                '+ ip protocol icmp counter accept comment "ICMP"',
                '- oifname != "bridge1" ip saddr 192.0.2.0/24 counter masquerade comment "MASQUERADE"',
            ],
        ),
    ],
    ids=["loopback", "no icc", "no proxy", "nat-unprotected", "routed"],
)
def test_an_option_changes_what_moby_lists_as_changed(text: str, differences: list[str]) -> None:
    compared = ndiff(listed("published.nft"), written(hostfile.parse(text)))
    assert sorted(f"{line[0]} {line[2:].strip()}" for line in compared if line[0] in "+-") == sorted(differences)


SIX = NETWORK.replace("[{subnet: 192.0.2.0/24}]", "[{subnet: 192.0.2.0/24}, {subnet: '2001:db8:1::/64'}]").replace(
    "    ipam", "    enable_ipv6: true\n    ipam"
)
MODE6 = ", com.docker.network.bridge.gateway_mode_ipv6: "
# What moby's tests expect of IPv6's table, where IPv4's is the listed one (nftabler/testdata/TestNftabler).
DNAT6 = 'tcp dport 8080 counter dnat to [2001:db8:1::2]:80 comment "DNAT"'
TO_OWN6 = 'ip6 saddr 2001:db8:1::2 ip6 daddr 2001:db8:1::2 tcp dport 80 counter masquerade comment "MASQ TO OWN PORT"'
IN_IPV6 = (
    ("table ip ", "table ip6 "),
    ("ip daddr != 127.0.0.0/8", "ip6 daddr != ::1"),
    (
        "tcp dport 8080 counter dnat to 192.0.2.2:80",
        "ip6 saddr != fe80::/10 tcp dport 8080 counter dnat to [ADDRESS]:80",
    ),
    ("ip daddr 192.0.2.2", "ip6 daddr ADDRESS"),
    ("ip saddr 192.0.2.0/24", "ip6 saddr 2001:db8:1::/64"),
    ("ADDRESS", "2001:db8:1::2"),
)


def listed6() -> list[str]:
    """The listing of IPv4's table, docker0 left out, which has no IPv6; in IPv6's words."""
    text = "\n".join(listed("published.nft"))
    text = re.sub(r'"docker0" : jump [\w-]+,\s+', "", text)
    text = re.sub(r"\tchain [\w-]+__docker0 \{\n[^}]*\}\n\n", "", text)
    for words, instead in IN_IPV6:
        text = text.replace(words, instead)
    return text.splitlines()


def written6(options: str = "", before: str = "") -> list[str]:
    """IPv6's table, which comes second."""
    lines = written(hostfile.parse(before + SIX.replace("OPTIONS", options)))
    return lines[lines.index("table ip6 docker-bridges {") :]


def test_ipv6_has_a_table_of_its_own_in_the_same_words() -> None:
    assert written6() == listed6()


@pytest.mark.parametrize(
    ("options", "before", "differences"),
    [
        (
            "",
            "daemon: {userland-proxy: false}\n",
            [
                "- ip6 daddr != ::1 fib daddr type local counter jump nat-prerouting-and-output",
                "+ fib daddr type local counter jump nat-prerouting-and-output",
                f'- iifname != "bridge1" ip6 saddr != fe80::/10 {DNAT6}',
                f"+ ip6 saddr != fe80::/10 {DNAT6}",
                '+ fib saddr type local counter masquerade comment "MASQUERADE FROM HOST"',
                f"+ {TO_OWN6}",
            ],
        ),
        (
            f"{MODE6}nat-unprotected",
            "",
            [
                '- ip6 daddr 2001:db8:1::2 iifname != "bridge1" counter drop comment "DROP DIRECT ACCESS"',
                "- ip6 daddr 2001:db8:1::2 tcp dport 80 counter accept",
                '- counter drop comment "UNPUBLISHED PORT DROP"',
                '+ counter accept comment "UNPROTECTED"',
            ],
        ),
        (
            f"{MODE6}routed",
            "",
            [
                f'- iifname != "bridge1" ip6 saddr != fe80::/10 {DNAT6}',
                '- ip6 daddr 2001:db8:1::2 iifname != "bridge1" counter drop comment "DROP DIRECT ACCESS"',
                '+ meta l4proto ipv6-icmp counter accept comment "ICMP"',
                '- oifname != "bridge1" ip6 saddr 2001:db8:1::/64 counter masquerade comment "MASQUERADE"',
            ],
        ),
    ],
    ids=["no proxy", "nat-unprotected", "routed"],
)
def test_an_option_changes_ipv6s_table_as_it_does_ipv4s(options: str, before: str, differences: list[str]) -> None:
    compared = ndiff(listed6(), written6(options, before))
    assert sorted(f"{line[0]} {line[2:].strip()}" for line in compared if line[0] in "+-") == sorted(differences)


def test_a_port_published_on_ipv6s_loopback_needs_no_guard() -> None:
    """Nobody from outside can ask for ::1 (moby's filterPortMappedOnLoopback does nothing for IPv6)."""
    lines = written(hostfile.parse(SIX.replace("OPTIONS", "").replace("8080:80", "[::1]:8080:80")))
    assert [line.strip() for line in lines if "dport 8080" in line] == [
        f'iifname != "bridge1" ip6 saddr != fe80::/10 ip6 daddr ::1 {DNAT6}'
    ]


@pytest.mark.parametrize(
    ("daemon", "tables"),
    [
        ("{}", ["ip", "ip6"]),
        ("{ip6tables: false}", ["ip"]),
        ("{iptables: false}", ["ip6"]),
        ("{iptables: false, ip6tables: false}", ["ip"]),
    ],
)
def test_a_version_of_ip_has_a_table_unless_the_daemon_is_to_leave_it_alone(daemon: str, tables: list[str]) -> None:
    """Where there is none, IPv4's is written without anything in it: a bed of nftables' rules has some."""
    lines = written(hostfile.parse(f"daemon: {daemon}\n" + SIX.replace("OPTIONS", "")))
    assert [line.split()[1] for line in lines if line.startswith("table")] == tables


def test_a_host_without_networks_on_it_has_empty_maps() -> None:
    assert "\t\telements" not in "\n".join(written(DockerHost((), ())))
    assert sum("dnat to" in line for line in written(article.HOST)) == 1
