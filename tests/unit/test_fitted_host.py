"""What a host is given since rules name it, and what it is not given."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from testbed.docker import article, hostfile, network
from testbed.docker.fitted import Fitted, fitted
from testbed.docker.guess import GuessKind
from testbed.report.guesses import sentences
from testbed.rules import AnyRuleset, NftRuleset, environment, rulefile, save
from testbed.rules.ruleset import Rule, Ruleset, Table


def nat(*rules: str, others: str = "") -> AnyRuleset:
    written = "".join(f"-A PREROUTING {rule}\n" for rule in rules)
    return save.parse(f"*nat\n:PREROUTING ACCEPT\n:POSTROUTING ACCEPT\n{written}{others}COMMIT\n")


def forward(*rules: str) -> AnyRuleset:
    return save.parse("*filter\n:FORWARD DROP\n" + "".join(f"-A FORWARD {rule}\n" for rule in rules) + "COMMIT\n")


def fit(*rules: AnyRuleset) -> Fitted:
    return fitted(article.HOST, rules, described=False)


@pytest.mark.parametrize(
    "rules", [article.ruleset(), forward("-i docker0 -j ACCEPT"), nat("-j DNAT --to-destination 172.17.0.2:80")]
)
def test_rules_for_the_articles_host_add_nothing(rules: AnyRuleset) -> None:
    assert fit(rules) == Fitted(article.HOST)


@pytest.mark.parametrize(
    ("rules", "uplink"),
    [
        (forward("-i eth0 -j DROP"), "eth0"),
        (forward("! -o enp3s0 -j DROP"), "enp3s0"),
        (forward("-i eth0 -j DROP", "-i eth1 -j DROP"), "eth0"),
        (forward("-i eth0 -j DROP", "-i ens33 -j DROP"), "ens33"),
        (forward("-i eth+ -j DROP"), "eth0"),
        (forward("-i tun0 -j DROP"), "ens33"),
        (NftRuleset('table ip a {\n\tchain b {\n\t\tiif "eno2" accept\n\t}\n}\n'), "eno2"),
    ],
)
def test_the_external_interface_is_the_one_that_rules_name(rules: AnyRuleset, uplink: str) -> None:
    assert fit(rules).host.surroundings.main.name == uplink
    assert article.topology(fit(rules).host).node("host").interfaces[0].name == uplink


@pytest.mark.parametrize(
    ("rules", "also"),
    [
        (nat("-d 198.51.100.2/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"), ["198.51.100.2"]),
        (nat("! -d 198.51.100.2/32 -j DNAT --to-destination 172.17.0.2:80"), []),
        (nat("-d 198.51.100.0/24 -j DNAT --to-destination 172.17.0.2:80"), []),
        (nat("-j ACCEPT", others="-A POSTROUTING -o ens33 -j SNAT --to-source 198.51.100.3\n"), ["198.51.100.3"]),
        (save.parse("*filter\n:INPUT DROP\n-A INPUT -d 198.51.100.4/32 -j ACCEPT\nCOMMIT\n"), ["198.51.100.4"]),
        (nat("-d 127.0.0.1/32 -j DNAT --to-destination 172.17.0.2:80"), []),
        (nat("-d 192.168.66.100/32 -j DNAT --to-destination 172.17.0.2:80"), []),
        (forward("-d 198.51.100.2/32 -j ACCEPT"), []),
    ],
)
def test_the_host_has_the_addresses_at_which_rules_publish(rules: AnyRuleset, also: list[str]) -> None:
    assert [
        str(address.ip) for address in fit(rules).host.surroundings.main.addresses if address.network.num_addresses == 1
    ] == also


@pytest.mark.parametrize(
    ("rules", "containers"),
    [
        (nat("-j DNAT --to-destination 172.17.0.9:80"), [("container-172-17-0-9", "172.17.0.1/16")]),
        (nat("-j DNAT --to-destination 172.17.0.1:80"), []),
        (nat("-j DNAT --to-destination 192.168.66.7:80"), []),
        (nat("-j DNAT --to-destination 198.51.100.7:80"), []),
        (
            nat(
                "-j DNAT --to-destination 172.20.0.2",
                others="-A POSTROUTING -s 172.20.0.0/24 ! -o br-1 -j MASQUERADE\n",
            ),
            [("container-172-20-0-2", "172.20.0.1/24")],
        ),
        (nat("-j DNAT --to-destination 10.9.8.7:80"), [("container-10-9-8-7", "10.9.8.1/24")]),
    ],
)
def test_a_container_is_made_for_an_address_that_rules_translate_to(
    rules: AnyRuleset, containers: list[tuple[str, str]]
) -> None:
    host = fit(rules).host
    assert [(own.name, str(own.network.gateway)) for own in host.containers if own.name != "web"] == containers


def test_a_network_that_no_rule_names_is_a_guess_that_is_assumed() -> None:
    network, container = fit(nat("-j DNAT --to-destination 10.9.8.7:80")).guesses
    assert (network.kind, network.addresses, network.assumed) == (GuessKind.NETWORK, ("10.9.8.1/24",), True)
    assert (container.kind, container.name, container.at) == (GuessKind.CONTAINER, "container-10-9-8-7", network.name)
    said = sentences([network, container])
    assert "is made with 10.9.8.1/24, which is assumed" in said[0]
    assert said[1].startswith("container-10-9-8-7 is made on br-")


def test_each_further_interface_that_leads_out_is_an_uplink_of_its_own() -> None:
    found = fit(forward("-i eth0 -j DROP", "-i eth1 -s 10.5.0.0/24 -j DROP", "-o wlan0 -j DROP"))
    uplinks = found.host.surroundings.uplinks
    assert [uplink.name for uplink in uplinks] == ["eth0", "eth1", "wlan0"]
    assert str(uplinks[1].addresses[0]) == "10.5.0.1/24"
    assert {"client-eth1", "client-wlan0"} <= {node.name for node in network.topology(found.host).nodes}
    assert [(guess.kind, guess.name, guess.assumed) for guess in found.guesses] == [
        (GuessKind.UPLINK_NAME, "eth0", False),
        (GuessKind.UPLINK, "eth1", False),
        (GuessKind.UPLINK, "wlan0", True),
    ]


@pytest.mark.parametrize(
    ("name", "address"),
    [("wg0", "10.0.0.1/24"), ("tun0", "10.0.0.1/24"), ("tailscale0", "100.64.0.1/10"), ("ppp0", "10.0.0.1/24")],
)
def test_a_tunnel_by_its_name_has_a_peer_behind_it(name: str, address: str) -> None:
    found = fit(forward(f"-i {name} -j ACCEPT"))
    (tunnel,) = found.host.surroundings.tunnels
    assert (tunnel.name, str(tunnel.addresses[0])) == (name, address)
    assert network.topology(found.host).node(f"peer-{name}").address == tunnel.peer[0].ip
    assert [guess.kind for guess in found.guesses] == [GuessKind.TUNNEL]


@pytest.mark.parametrize(
    ("rule", "bridge", "inside"),
    [
        ("-s 192.168.122.0/24 -i virbr0 -j ACCEPT", "192.168.122.1/24", "192.168.122.2/24"),
        ("-i virbr0 -j ACCEPT", "10.0.0.1/24", "10.0.0.2/24"),
        ("-i cali+ -j ACCEPT", "10.0.0.1/24", "10.0.0.2/24"),
    ],
)
def test_a_bridge_that_rules_name_has_a_guest(rule: str, bridge: str, inside: str) -> None:
    (made,) = fit(forward(rule)).host.surroundings.bridges
    assert (str(made.addresses[0]), str(made.guests[0].addresses[0])) == (bridge, inside)


@pytest.mark.parametrize(
    ("rule", "machine"),
    [
        ("-s 8.8.8.8/32 -j DROP", "at-8.8.8.8"),
        ("-s 10.244.0.0/16 -j DROP", "at-10.244.0.1"),
        ("-d 224.0.0.251/32 -j DROP", ""),
        ("-s 192.168.66.77/32 -j DROP", ""),
        ("-s 172.17.0.0/16 -j DROP", ""),
    ],
)
def test_a_machine_outside_has_an_address_in_each_prefix_that_rules_name(rule: str, machine: str) -> None:
    found = fit(forward(rule))
    assert [one.name for one in found.host.surroundings.machines] == [machine] * bool(machine)
    assert environment.warnings(network.topology(found.host), [forward(rule)]) == []


def test_a_machine_is_made_where_rules_translate_to_and_no_container_can_be() -> None:
    found = fit(nat("-j DNAT --to-destination 192.168.66.7:80", "-j DNAT --to-destination 198.51.100.7"))
    topology = network.topology(found.host)
    assert [str(topology.node(name).addresses[0]) for name in ("at-192.168.66.7", "at-198.51.100.7")] == [
        "192.168.66.7/24",
        "198.51.100.7/32",
    ]


def test_a_container_is_made_for_an_ipv6_address_that_rules_translate_to() -> None:
    text = "*nat\n:PREROUTING ACCEPT\n-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination [fd01::2]:80\nCOMMIT\n"
    found = fit(rulefile.parse(f"# Generated by ip6tables-save\n{text}"))
    (made,) = [own for own in found.host.containers if own.name != "web"]
    assert (str(made.address6), str(made.network.gateway6)) == ("fd01::2", "fd01::1/64")


def test_the_first_member_of_a_set_is_a_machine() -> None:
    rules = save.parse("*filter\n:INPUT ACCEPT\n-A INPUT -m set --match-set bad src -j DROP\nCOMMIT\n")
    rules = replace(rules, sets="create bad hash:ip family inet\nadd bad 198.51.100.9\nadd bad 198.51.100.8\n")
    assert [one.name for one in fit(rules).host.surroundings.machines] == ["at-198.51.100.9"]


def test_two_addresses_of_one_assumed_network_share_it() -> None:
    host = fit(nat("-j DNAT --to-destination 10.9.8.7:80", "-j DNAT --to-destination 10.9.8.8:80")).host
    assert len({own.network for own in host.containers if own.name != "web"}) == 1


@pytest.mark.parametrize(
    ("text", "six"),
    [
        ("# Generated by ip6tables-save\n*filter\n:INPUT ACCEPT\n-A INPUT -j DROP\nCOMMIT\n", True),
        ("# Generated by ip6tables-save\n*filter\n:INPUT DROP\nCOMMIT\n", True),
        ("# Generated by ip6tables-save\n*filter\n:INPUT ACCEPT\nCOMMIT\n", False),
        ("*filter\n:INPUT DROP\nCOMMIT\n", False),
        ("table ip6 a {\n\tchain b {\n\t}\n}\n", True),
        ("table inet a {\n\tchain b {\n\t}\n}\n", True),
        ("table ip a {\n\tchain b {\n\t}\n}\n", False),
    ],
)
def test_a_host_has_ipv6_where_there_are_rules_of_it(text: str, six: bool) -> None:
    host = fit(rulefile.parse(text)).host
    assert host.ipv6 == six
    assert any(a.version == 6 for a in article.topology(host).node("host").addresses) == six


def test_a_described_host_is_given_no_container() -> None:
    host = hostfile.parse("services: {web: {ports: ['80:80']}}")
    found = fitted(host, [nat("-i eth0 -j DNAT --to-destination 172.17.0.9:80")], described=True)
    assert found.host.containers == host.containers
    assert [guess.kind for guess in found.guesses] == [GuessKind.UPLINK_NAME]


def test_a_host_with_described_surroundings_is_given_nothing_but_ipv6() -> None:
    host = hostfile.parse("host: {uplinks: {eno1: {addresses: 10.0.0.5/24}}}\nservices: {web: {ports: ['80:80']}}")
    assert fitted(host, [nat("-i eth0 -s 8.8.8.8 -j DNAT --to-destination 172.17.0.9")], described=True) == Fitted(host)
    six = rulefile.parse("# Generated by ip6tables-save\n*filter\n:INPUT DROP\nCOMMIT\n")
    assert fitted(host, [six], described=True).host.ipv6


@pytest.mark.parametrize(
    "names", [("eth0:1",), ("a/b",), ("enp2s1", "ens33"), ("br@x#1",), ("e+",), ("+",), ("..",), ("wg#1", "tun*")]
)
def test_strange_names_of_interfaces_give_a_topology(names: tuple[str, ...]) -> None:
    rules = Ruleset((Table("filter", tuple(Rule("FORWARD", f"-i {name} -j DROP") for name in names)),))
    host = fit(rules).host
    node = network.topology(host).node("host")
    taken = [*(device.name for device in node.devices), *(name for own in node.interfaces for name in own.altnames)]
    assert len(set(taken)) == len(taken)


def test_a_host_that_uses_every_private_subnet_gets_no_more_bridges() -> None:
    wide = [f"-i a{number} -s {prefix} -j ACCEPT" for number, prefix in enumerate(("10.0.0.0/8", "198.18.0.0/15"))]
    wide += ["-i b -s 172.16.0.0/13 -j ACCEPT", "-i c -s 172.24.0.0/13 -j ACCEPT", "-i d -s 192.168.0.0/18 -j ACCEPT"]
    host = fit(forward(*wide, "-i wg0 -j ACCEPT")).host
    assert network.topology(host).node("host").addresses


def test_a_thousand_translations_are_fitted_in_five_seconds() -> None:
    rule = "-p tcp --dport {} -j DNAT --to-destination 172.17.{}.{}"
    rules = nat(*(rule.format(1000 + number, number // 250, number % 250 + 3) for number in range(1000)))
    began = time.process_time()
    assert len(fit(rules).host.containers) == 1001
    assert time.process_time() - began < 5
