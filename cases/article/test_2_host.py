"""The host that the article lists: devices, addresses, local table, routes, rules."""

import json

from testbed import Ruleset, Testbed
from testbed.rules import save


def ip(bed: Testbed, *arguments: str) -> str:
    """What the program ip prints on the host."""
    finished = bed.host.command(["ip", *arguments])
    assert finished.returncode == 0, finished.stderr
    return "\n".join(line.rstrip() for line in finished.stdout.splitlines())


def test_devices_have_the_names_indexes_and_macs_of_the_listing(bed: Testbed) -> None:
    devices = {device["ifname"]: device for device in json.loads(ip(bed, "-json", "address"))}
    assert {name: (device["ifindex"], device["address"]) for name, device in devices.items()} == {
        "lo": (1, "00:00:00:00:00:00"),
        "ens33": (2, "00:0c:29:b6:16:6b"),
        "docker0": (3, "02:42:5f:9a:dc:2c"),
        "veth50b382d": (19, "fa:9f:74:9c:7e:80"),
    }
    assert devices["ens33"]["altnames"] == ["enp2s1"]
    assert devices["veth50b382d"]["link_index"] == 18
    assert devices["veth50b382d"]["master"] == "docker0"
    assert {device["mtu"] for name, device in devices.items() if name != "lo"} == {1500}
    assert all("LOWER_UP" in device["flags"] for device in devices.values())


def test_addresses_are_those_of_the_listing(bed: Testbed) -> None:
    addresses = {
        (device["ifname"], f"{address['local']}/{address['prefixlen']}", address.get("broadcast"))
        for device in json.loads(ip(bed, "-json", "-4", "address"))
        for address in device["addr_info"]
    }
    assert addresses == {
        ("lo", "127.0.0.1/8", None),
        ("ens33", "192.168.66.100/24", "192.168.66.255"),
        ("docker0", "172.17.0.1/16", "172.17.255.255"),
    }


def test_the_local_table_is_that_of_the_listing(bed: Testbed) -> None:
    assert (
        ip(bed, "route", "list", "table", "local")
        == """\
local 127.0.0.0/8 dev lo proto kernel scope host src 127.0.0.1
local 127.0.0.1 dev lo proto kernel scope host src 127.0.0.1
broadcast 127.255.255.255 dev lo proto kernel scope link src 127.0.0.1
local 172.17.0.1 dev docker0 proto kernel scope host src 172.17.0.1
broadcast 172.17.255.255 dev docker0 proto kernel scope link src 172.17.0.1
local 192.168.66.100 dev ens33 proto kernel scope host src 192.168.66.100
broadcast 192.168.66.255 dev ens33 proto kernel scope link src 192.168.66.100"""
    )


def test_the_main_routes_are_those_of_the_listing(bed: Testbed) -> None:
    assert (
        ip(bed, "route")
        == """\
default via 192.168.66.254 dev ens33
172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1
192.168.66.0/24 dev ens33 proto kernel scope link src 192.168.66.100"""
    )


def test_the_kernel_holds_the_eighteen_rules(bed: Testbed) -> None:
    """In the kernel's own words, in their order, with the policies."""
    assert (
        bed.ruleset().listing
        == """\
filter :INPUT ACCEPT
filter :FORWARD DROP
filter :OUTPUT ACCEPT
filter :DOCKER -
filter :DOCKER-ISOLATION-STAGE-1 -
filter :DOCKER-ISOLATION-STAGE-2 -
filter :DOCKER-USER -
filter -A FORWARD -j DOCKER-USER
filter -A FORWARD -j DOCKER-ISOLATION-STAGE-1
filter -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
filter -A FORWARD -o docker0 -j DOCKER
filter -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
filter -A FORWARD -i docker0 -o docker0 -j ACCEPT
filter -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
filter -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
filter -A DOCKER-ISOLATION-STAGE-1 -j RETURN
filter -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
filter -A DOCKER-ISOLATION-STAGE-2 -j RETURN
filter -A DOCKER-USER -j RETURN
nat :PREROUTING ACCEPT
nat :INPUT ACCEPT
nat :OUTPUT ACCEPT
nat :POSTROUTING ACCEPT
nat :DOCKER -
nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
nat -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
nat -A DOCKER -i docker0 -j RETURN
nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80""".splitlines()
    )


def test_raw_and_mangle_have_no_rules(bed: Testbed) -> None:
    """Neither in the listing nor in the kernel, on either of iptables' two ways."""
    with bed.counting() as counting:
        bed.connect("client", ("192.168.66.100", 80)).handshake()
    assert {line.table for line, _ in counting.result} == {"filter", "nat"}
    for table in ("raw", "mangle"):
        listed = bed.host.command([f"{bed.backend.program}", "-t", table, "-S"])
        assert listed.returncode == 0, listed.stderr
        assert [line for line in listed.stdout.splitlines() if not line.startswith("-P ")] == []


def test_counting_leaves_the_rules_as_they_were(bed: Testbed, testbed_rules: Ruleset) -> None:
    before = save.render(_without_counters(bed.ruleset()))
    with bed.counting() as counting:
        bed.connect("client", ("192.168.66.100", 80)).handshake()
    assert counting.result.moved.rules
    assert save.render(_without_counters(bed.ruleset())) == before
    assert len(list(bed.ruleset().rules)) == len(list(testbed_rules.rules))


def _without_counters(ruleset: Ruleset) -> Ruleset:
    text = "\n".join(
        line.split(" [")[0] for line in save.render(ruleset).splitlines() if line and not line.startswith("#")
    )
    return save.parse(text + "\n")
