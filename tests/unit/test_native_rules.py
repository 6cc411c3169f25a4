"""Engine 29 with nftables: the rules that moby lists, line by line."""

from __future__ import annotations

from difflib import ndiff
from pathlib import Path

import pytest

from testbed.docker import article, hostfile
from testbed.docker.engines import engine_or_native
from testbed.docker.host import DockerHost
from testbed.errors import TopologyError
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


def test_ipv6_is_refused_rather_than_guessed() -> None:
    subnet = "enable_ipv6: true, ipam: {config: [{subnet: '2001:db8:1::/64'}]}"
    with pytest.raises(TopologyError, match="29 protects IPv6 with nftables is not known"):
        written(hostfile.parse(f"networks: {{six: {{{subnet}}}}}"))


def test_a_host_without_networks_on_it_has_empty_maps() -> None:
    assert "\t\telements" not in "\n".join(written(DockerHost((), ())))
    assert sum("dnat to" in line for line in written(article.HOST)) == 1
