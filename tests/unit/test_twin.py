"""The twin of a capture: the same interfaces, routes, rules and containers, and a note for all that is otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
from test_capture_reader import DATA, TEXT, captured

from testbed.capture.changes import compared
from testbed.capture.notes import NoteKind
from testbed.capture.reader import parse
from testbed.capture.twin import Twin, twin
from testbed.capture.upgrade import with_engine
from testbed.docker import article
from testbed.docker.host import DockerHost
from testbed.docker.surroundings import TunnelKind, UplinkKind
from testbed.errors import CaptureError, TestbedError, TopologyError
from testbed.topology import Listener, RouteKind

RULES = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{}COMMIT\n"


def link(index: int, name: str, *addresses: str, kind: str = "", **more: Any) -> dict[str, Any]:
    own = [
        {"family": "inet6" if ":" in a else "inet", "local": a.split("/")[0], "prefixlen": int(a.split("/")[1])}
        for a in addresses
    ]
    about = {"linkinfo": {"info_kind": kind}} if kind else {}
    mac = f"00:00:5e:00:53:{index:02x}"
    return {"ifindex": index, "ifname": name, "flags": ["UP"], "address": mac, "addr_info": own, **about, **more}


ETH0 = link(2, "eth0", "192.0.2.5/24")


def twin_of(*links: dict[str, Any], **sections: Any) -> Twin:
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in sections.items()}
    return twin(parse(captured(**{"addresses": json.dumps([ETH0, *links]), **texts}), "shop.capture"))


def said(made: Twin, kind: NoteKind) -> str:
    return "\n".join(note.text for note in made.of_kind(kind))


def test_captured_host_has_names_addresses_macs_and_indexes_of_the_capture() -> None:
    made = twin(parse(TEXT, "c"))
    topology = article.topology(made.host)
    captured_links = {own.name: own for own in parse(TEXT, "c").links}
    host = topology.node("host")
    assert {device.name for device in host.devices} == captured_links.keys() - {"lo"}
    for device in host.devices:
        own = captured_links[device.name]
        assert (device.mac, host.indexes[device.name]) == (own.mac, own.index)
        assert {str(one) for one in device.addresses} == {str(one.address) for one in own.global_addresses}


def test_rules_of_a_real_engine_contradict_nothing() -> None:
    made = twin(parse(TEXT, "c"))
    assert [note.text for note in made.of_kind(NoteKind.CONTRADICTION) if "nothing listens" not in note.text] == []
    assert (made.engine, made.backend, made.host.userland_proxy) == ("20.10.24", "nft", True)
    assert made.rules is not None
    assert made.rules.number_of_rules == 58


def test_rules_that_the_engine_would_not_write_are_contradictions() -> None:
    stale = "-A DOCKER -d 172.17.0.9/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 9 -j ACCEPT"
    text = TEXT.replace(" [0:0] -A DOCKER ", f" [0:0] {stale}\n [0:0] -A DOCKER ", 1)
    assert text != TEXT
    found = twin(parse(text, "c")).of_kind(NoteKind.CONTRADICTION)[-1]
    assert f"1 line of Docker's chains is not what Docker 20.10.24 writes for this host: filter {stale}" in found.text
    assert text.split("\n")[found.line - 1].endswith(stale)


def test_rules_that_are_missing_are_contradictions() -> None:
    wanted = "-A FORWARD -j DOCKER-USER\n"
    lines = [line for line in TEXT.split("\n") if not line.endswith(wanted.strip())]
    assert len(lines) == len(TEXT.split("\n")) - 1
    assert "writes 1 line for this host that the capture does not have" in said(
        twin(parse("\n".join(lines), "c")), NoteKind.CONTRADICTION
    )


def test_published_port_where_nothing_listens_is_a_contradiction() -> None:
    assert "app publishes [::]:8082:82/tcp, and nothing listens there" in said(
        twin(parse(TEXT, "c")), NoteKind.CONTRADICTION
    )


def test_uplink_of_the_default_route_comes_first() -> None:
    made = twin_of(
        link(3, "eth1", "198.51.100.9/24", "198.51.100.10/24"),
        routes4=[{"dst": "default", "gateway": "198.51.100.1", "dev": "eth1"}],
    )
    assert [uplink.name for uplink in made.host.surroundings.uplinks] == ["eth1", "eth0"]
    assert made.host.surroundings.main.gateways == (IPv4Address("198.51.100.1"),)


def test_routes_of_other_tables_and_routing_rules_are_values() -> None:
    made = twin_of(
        routes4=[
            {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
            {"dst": "default", "gateway": "192.0.2.2", "dev": "eth0", "table": "isp2"},
            {"type": "blackhole", "dst": "10.0.0.0/8", "metric": 50},
            {"dst": "192.0.2.0/24", "dev": "eth0", "protocol": "kernel", "scope": "link"},
        ],
        rules4=[
            {"priority": 0, "src": "all", "table": "local"},
            {"priority": 100, "src": "10.1.0.0", "srclen": 16, "table": "isp2"},
            {"priority": 200, "src": "all", "uid_start": 0, "uid_end": 5, "table": "main"},
            {"priority": 32766, "src": "all", "table": "main"},
        ],
    )
    routes = made.host.surroundings.routes
    assert [(str(route.destination), route.table, route.kind) for route in routes] == [
        ("0.0.0.0/0", 254, RouteKind.UNICAST),
        ("0.0.0.0/0", 1000, RouteKind.UNICAST),
        ("10.0.0.0/8", 254, RouteKind.BLACKHOLE),
    ]
    (rule,) = made.host.surroundings.routing_rules
    assert (rule.priority, rule.source, rule.table) == (100, IPv4Network("10.1.0.0/16"), 1000)
    assert "The routing rule 200 of IPv4 is not in the bed: uid_end, uid_start." in said(made, NoteKind.MISSING)


def test_host_without_a_default_route_in_main_gets_none() -> None:
    made = twin_of(routes4=[{"dst": "default", "gateway": "192.0.2.2", "dev": "eth0", "table": "7"}])
    assert [route.table for route in article.topology(made.host).node("host").routes] == [7]


@pytest.mark.parametrize(
    ("device", "kind"),
    [
        (link(5, "wg0", "10.8.0.1/24", kind="wireguard", link_type="none"), TunnelKind.WIREGUARD),
        (link(5, "tun0", "10.8.0.1/24", kind="tun", link_type="none"), TunnelKind.TUN),
        (link(5, "ppp0", "10.8.0.1/24", link_type="ppp"), TunnelKind.PPP),
    ],
)
def test_tunnel_is_a_link_with_one_machine_behind_it_and_that_is_said(device: dict[str, Any], kind: TunnelKind) -> None:
    made = twin_of(device)
    (tunnel,) = made.host.surroundings.tunnels
    assert (tunnel.kind, tunnel.peer) == (kind, (IPv4Interface("10.8.0.2/24"),))
    assert "its encryption, the addresses that it allows" in said(made, NoteKind.APPROXIMATED)
    article.topology(made.host)


def test_bridge_with_a_hardware_port_is_an_uplink_and_another_has_a_guest() -> None:
    made = twin(
        parse(
            captured(
                addresses=json.dumps(
                    [
                        link(2, "br0", "192.0.2.5/24", kind="bridge"),
                        link(3, "eth0", master="br0"),
                        link(4, "virbr0", "192.168.122.1/24", kind="bridge"),
                    ]
                )
            ),
            "c",
        )
    )
    (uplink,) = made.host.surroundings.uplinks
    assert (uplink.name, uplink.kind, uplink.ports) == ("br0", UplinkKind.BRIDGE, ("eth0",))
    (bridge,) = made.host.surroundings.bridges
    assert [str(own) for own in bridge.guests[0].addresses] == ["192.168.122.2/24"]
    article.topology(made.host)


def test_vlan_with_a_dot_in_its_name_keeps_its_own_sysctls() -> None:
    made = twin_of(
        link(3, "eth0.5", "198.51.100.2/24", kind="vlan", link="eth0"),
        sysctls="net.ipv4.conf.default.rp_filter = 0\nnet.ipv4.conf.eth0/5.rp_filter = 2\n",
    )
    written = dict(made.host.surroundings.sysctls)
    assert written["net.ipv4.conf.eth0/5.rp_filter"] == "2"
    assert written["net.ipv4.conf.eth0.rp_filter"] == "0"
    assert made.host.surroundings.uplinks[1].kind is UplinkKind.VLAN


def test_address_of_loopback_is_a_local_route() -> None:
    made = twin_of(link(1, "lo", "127.0.0.1/8", "203.0.113.7/32"))
    (route,) = [one for one in made.host.surroundings.routes if one.kind is RouteKind.LOCAL]
    assert (str(route.destination), route.device) == ("203.0.113.7/32", "lo")


def test_listeners_are_those_of_the_host_and_not_those_of_proxies() -> None:
    made = twin_of(
        listeners='tcp LISTEN 0 5 *:22 *:* users:(("sshd",pid=1,fd=3))\n'
        'tcp LISTEN 0 5 0.0.0.0:80 0.0.0.0:* users:(("docker-proxy",pid=2,fd=4))\n'
        "udp UNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:*\nudp UNCONN 0 0 127.0.0.1:323 0.0.0.0:*\n"
    )
    assert made.host.surroundings.listeners == (
        Listener("tcp", 22),
        Listener("udp", 323, IPv4Address("127.0.0.1")),
    )


@pytest.mark.parametrize(
    ("sections", "kind", "words"),
    [
        ({"nft": "table inet own {\n}\n", "iptables_nft": RULES.format("")}, NoteKind.MISSING, "inet own"),
        ({"iptables_legacy": RULES.format("-A INPUT -j DROP\n"),
          "iptables_nft": RULES.format(":DOCKER - [0:0]\n")}, NoteKind.MISSING, "iptables-legacy too"),
        ({"tc": "eth0 ingress: filter protocol ip"}, NoteKind.MISSING, "tc has filters"),
        ({"ipvs": "TCP  C0000205:0050 rr"}, NoteKind.MISSING, "IPVS has services"),
        ({"ebtables": "*filter\n-A FORWARD -j DROP\n"}, NoteKind.MISSING, "ebtables has rules"),
        ({"iptables_nft": RULES.format("-A INPUT -m recent --set\n")}, NoteKind.APPROXIMATED, "lists of recent"),
        ({"iptables_nft": RULES.format("-A OUTPUT -m owner --uid-owner 5 -j DROP\n")},
         NoteKind.APPROXIMATED, "the processes that owner matches"),
        ({"changed": "listeners"}, NoteKind.APPROXIMATED, "changed while the capture was taken: listeners"),
        ({}, NoteKind.MISSING, "The capture has no rules"),
    ],
)  # fmt: skip
def test_what_a_bed_does_not_have_is_named_and_matters(sections: dict[str, str], kind: NoteKind, words: str) -> None:
    notes = [note for note in twin_of(**sections).of_kind(kind) if words in note.text]
    assert [note.matters for note in notes] == [True]


def test_xdp_program_is_named() -> None:
    assert "eth1 has an XDP program" in said(
        twin_of(link(3, "eth1", "198.51.100.2/24", xdp={"mode": 1})), NoteKind.MISSING
    )


def test_legacy_rules_are_loaded_by_legacy() -> None:
    assert twin_of(iptables_legacy=RULES.format(":DOCKER - [0:0]\n")).backend == "legacy"


def test_rules_of_nftables_alone_are_the_rules() -> None:
    made = twin_of(nft="table inet own {\n\tchain a {\n\t}\n}\n")
    assert made.rules is not None
    assert made.rules.as_iptables is None


def test_host_without_an_uplink_is_refused() -> None:
    with pytest.raises(CaptureError, match="has no interface that is up, has an address and leads out"):
        twin(parse(captured(addresses=json.dumps([link(1, "lo", "127.0.0.1/8")])), "c"))


def test_more_containers_than_a_bed_takes_are_refused() -> None:
    found = parse(TEXT, "c")
    many = tuple(replace(found.containers[0], name=f"c{number}") for number in range(1001))
    with pytest.raises(CaptureError, match="has 1,001 running containers, and a bed takes 1,000"):
        twin(replace(found, containers=many))


def test_overlapping_subnets_of_a_tunnel_and_a_bridge_are_one_sentence() -> None:
    text = TEXT.replace(
        '{"ifindex":3,', json.dumps(link(90, "wg0", "172.17.9.1/24", kind="wireguard")) + ',{"ifindex":3,', 1
    )
    with pytest.raises(TopologyError, match=r"the subnet 172\.17\.0\.0/16 overlaps"):
        article.topology(twin(parse(text, "c")).host)


def test_container_called_as_a_node_of_every_bed_has_another_name_and_is_known_by_its_own() -> None:
    text = TEXT.replace('"Name":"/web"', '"Name":"/client"')
    made = twin(parse(text, "c"))
    assert made.host.node_called("client") == "container-client"


# upgrades and drift


def test_rules_of_another_engine_keep_all_that_is_not_docker() -> None:
    mine = ("-A DOCKER-USER -s 10.9.9.9/32 -j DROP", "-A INPUT -p tcp -j DROP")
    inserted = "".join(f" [0:0] {rule}\n" for rule in mine)
    made = twin(parse(TEXT.replace(" [0:0] -A DOCKER ", f"{inserted} [0:0] -A DOCKER ", 1), "c"))
    listing = with_engine(made, "29").listing
    assert {*(f"filter {rule}" for rule in mine), "filter -A FORWARD -j DOCKER-FORWARD"} <= {*listing}
    assert not any("DOCKER-ISOLATION-STAGE" in line for line in listing)
    user = [line for line in listing if line.startswith("filter -A DOCKER-USER")]
    assert user[0] == f"filter {mine[0]}"


def test_rules_of_the_same_engine_are_the_same() -> None:
    made = twin(parse(TEXT, "c"))
    same, own = with_engine(made, made.engine).as_iptables, made.rules.as_iptables if made.rules else None
    assert same is not None
    assert own is not None
    assert sorted(same.touched.listing) == sorted(own.touched.listing)
    for table in own.touched.tables:
        for chain in table.chains:
            expected = [rule.text for rule in table.rules_of(chain.name)]
            assert [rule.text for rule in same.table(table.name).rules_of(chain.name)] == expected


def test_rules_of_nftables_engine_are_refused_beside_rules_of_iptables() -> None:
    with pytest.raises(TestbedError, match="the capture's rules are iptables', and those of engine 29-nftables"):
        with_engine(twin(parse(TEXT, "c")), "29-nftables")


def test_network_that_was_made_again_is_no_difference() -> None:
    """An engine gives it another bridge, and its containers other addresses."""
    text = TEXT.replace("br-cdf911166780", "br-aaaaaaaaaaaa").replace("172.19.0.2", "172.19.0.7")
    found = compared(twin(parse(TEXT, "monday")), twin(parse(text, "tuesday")))
    assert sorted(found.old.listing) == sorted(found.new.listing)
    assert found.changes == ()


def test_container_that_is_gone_stands_beside_and_is_named() -> None:
    lines = TEXT.split("\n")
    start = next(number for number, line in enumerate(lines) if '"Name":"/idle"' in line)
    text = "\n".join(lines[:start] + lines[start + 6 :])
    found = compared(twin(parse(TEXT, "monday")), twin(parse(text, "tuesday")))
    assert [change.text for change in found.changes] == ["1 container gone: idle."]
    assert "idle" in [container.name for container in found.host.containers]
    article.topology(found.host)


def test_changes_that_no_packet_judges_are_named() -> None:
    before, now = (
        twin_of(iptables_nft=RULES.format("")),
        twin_of(link(3, "eth1", "198.51.100.2/24"), iptables_nft=RULES.format("")),
    )
    found = compared(before, now)
    assert found.open == ("Addresses changed: none before, eth1 198.51.100.2/24 now.",)
    assert isinstance(found.host, DockerHost)


# a host with much beside Docker


def test_hard_host_is_a_twin_with_all_that_a_bed_can_have() -> None:
    text = (DATA / "hard-28.5.capture").read_text()
    made = twin(parse(text, "hard.capture"))
    outside = made.host.surroundings
    assert [uplink.name for uplink in outside.uplinks] == ["ens33", "eth1"]
    assert [(rule.priority, str(rule.source), rule.table) for rule in outside.routing_rules] == [
        (1000, "198.51.100.7/32", 100)
    ]
    assert {route.kind for route in outside.routes} == {RouteKind.UNICAST, RouteKind.UNREACHABLE}
    assert [(station.name, station.uplink) for station in outside.stations] == [("station", "eth1")]
    assert (made.host.node_called("beside"), made.host.node_called("onhost")) == ("web", "host")
    assert "inet own" in said(made, NoteKind.MISSING)
    assert "stopped" in said(made, NoteKind.MISSING)
    assert "Without a network, and so not in the bed: alone." in said(made, NoteKind.EXACT)
    article.topology(made.host)


def test_rules_of_the_hard_host_are_those_that_docker_28_writes() -> None:
    made = twin(parse((DATA / "hard-28.5.capture").read_text(), "hard.capture"))
    assert [text for text in said(made, NoteKind.CONTRADICTION).split("\n") if "nothing listens" not in text] == []
