"""Captures read into values, and what cannot be read: one sentence with a line, whatever is wrong."""

from __future__ import annotations

import json
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.capture import source
from testbed.capture.reader import parse
from testbed.capture.values import HostCapture
from testbed.docker.host import PublishedPort
from testbed.errors import CaptureError, TestbedError

DATA = Path(__file__).parents[1] / "data" / "capture"
TEXT = (DATA / "docker-20.10.capture").read_text()
LINK = (
    '{"ifindex":2,"ifname":"eth0","flags":["UP"],"address":"00:00:5e:00:53:01","addr_info":[{"family":"inet",'
    '"local":"192.0.2.5","prefixlen":24,"scope":"global"}]}'
)


def captured(**sections: str) -> str:
    """A capture with these sections, beside one interface."""
    given = {"addresses": f"[{LINK}]", **sections}
    parts = ["docker-host-testbed capture, format 1"]
    for name, text in given.items():
        own = name.replace("_", "-")
        parts += [f"== {own}", *(f" {line}" for line in text.splitlines()), f"== end {own}: ok"]
    return "\n".join([*parts, "== end of capture", ""])


def refused(text: str, name: str = "shop.capture") -> TestbedError:
    with pytest.raises(CaptureError) as refusal:
        parse(text, name)
    assert "\n" not in refusal.value.what
    assert refusal.value.remedy
    return refusal.value


def test_capture_of_an_engine_is_read_as_values() -> None:
    found = parse(TEXT, "shop.capture")
    assert (found.host, found.taken, found.connections) == ("shop", "2026-11-27T17:57:06Z", 4)
    assert [engine.version for engine in found.engines] == ["20.10.24+dfsg1"]
    assert [link.name for link in found.links][:3] == ["lo", "ens33", "docker0"]
    assert {network.name: network.internal for network in found.networks if network.driver == "bridge"} == {
        "bridge": False, "testbed_back": True, "testbed_front": False, "testbed_shop": False,
    }  # fmt: skip
    web = next(container for container in found.containers if container.name == "web")
    assert web.bound == (PublishedPort(80, 8080), PublishedPort(443, 8443))
    assert web.endpoints[0].addresses == (IPv4Interface("172.19.0.2/16"),)
    assert found.namespace_of(web) is not None
    assert {own.port for own in found.listeners if "docker-proxy" in own.programs} >= {80, 443, 9053}
    assert found.changed == ("addresses", "inside-580-addresses", "inside-580-routes6")


def test_containers_are_in_the_order_in_which_they_started() -> None:
    names = [container.name for container in parse(TEXT, "c").containers]
    assert names == ["web", "app", "dns", "many", "idle", "db"]


def test_rules_keep_the_line_numbers_of_the_capture() -> None:
    rules = parse(TEXT, "c").rules_of("iptables-nft")
    assert rules is not None
    wanted = next(number for number, line in enumerate(TEXT.split("\n"), 1) if "-A FORWARD -j DOCKER-USER" in line)
    assert rules.text.split("\n")[wanted - 1].endswith("-A FORWARD -j DOCKER-USER")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(TEXT) - len("== end of capture\n") - 1))
def test_capture_cut_off_anywhere_is_refused(length: int) -> None:
    error = refused(TEXT[:length])
    assert "is cut off" in error.what or "is no capture" in error.what


@pytest.mark.parametrize("end", ["", "\n"])
def test_capture_with_its_last_line_is_whole(end: str) -> None:
    assert parse(TEXT.rstrip("\n") + end, "c").host == "shop"


def test_capture_of_another_format_is_refused() -> None:
    error = refused(TEXT.replace("format 1", "format 2", 1))
    assert error.what == "shop.capture is a capture of format 2, and this version reads format 1."


@pytest.mark.parametrize(
    ("section", "text", "said"),
    [
        ("addresses", "bash: ip: Kommando nicht gefunden.", "this line of addresses is not understood"),
        ("routes4", "Fehler: weder IPv4 noch IPv6", "this line of routes4 is not understood"),
        ("routes4", '[{"dst":"10.0.0.0/33"}]', "'10.0.0.0/33' is no network"),
        ("rules4", '[{"priority":"first"}]', "has no priority that is understood"),
        ("docker_networks", '{"Name":"a","IPAM":[{"Subnet":"x"}]}', "is no subnet"),
        ("docker_networks", '[1]', "this line of docker-networks is not understood"),
        ("docker_containers", '{"Id":"a","Ports":{"80/tcp":[{"HostPort":"none"}]}}', "the binding of 80/tcp"),
        ("docker_containers", '{"Id":"a",', "this line of docker-containers is not understood"),
        ("listeners", "tcp LISTEN 0 5 nowhere", "it has no address and port"),
        ("sysctls", "net.ipv4.ip_forward", "is no sysctl"),
    ],
)  # fmt: skip
def test_section_that_is_not_understood_is_named_with_its_line(section: str, text: str, said: str) -> None:
    error = refused(captured(**{section: text}))
    assert said in error.what
    assert "shop.capture line " in error.what


def test_line_of_an_error_is_the_line_in_the_file() -> None:
    text = captured(routes4='[{"dst":"default"},\n{"dst":"1.2.3.4/40"}]')
    line = next(number for number, own in enumerate(text.split("\n"), 1) if "/40" in own)
    assert f"line {line - 1}," in refused(text).what or f"line {line}," in refused(text).what


def test_interface_name_of_16_characters_is_refused() -> None:
    error = refused(captured(addresses=f"[{LINK.replace('eth0', 'e234567890123456')}]"))
    assert "has 16 characters, and Linux allows 15" in error.what


def test_escape_sequences_of_a_capture_are_not_printed_raw() -> None:
    assert "\x1b" not in str(refused(captured(addresses="\x1b[31mred")))


def test_deeply_nested_json_is_refused() -> None:
    assert "is not understood" in refused(captured(docker_networks="[" * 5000)).what


def test_section_twice_and_text_behind_the_end_are_refused() -> None:
    twice = captured(conntrack="4").replace(
        "== end of capture", "== conntrack\n 4\n== end conntrack: ok\n== end of capture"
    )
    assert "the section conntrack is there twice" in refused(twice).what
    assert "behind the end" in refused(captured() + "more\n").what


def test_line_of_a_section_cannot_end_it() -> None:
    """A name from the host may be the last line of a section: it has a space before it."""
    found = parse(captured(sysctls="net.a = == end sysctls: ok"), "c")
    assert found.sysctls == (("net.a", "== end sysctls: ok"),)


def test_failed_section_is_named_and_the_rest_is_read() -> None:
    text = captured().replace(
        "== end of capture", "== ipset\n ipset v7: Kernel-Fehler\n== end ipset: failed with status 1\n== end of capture"
    )
    assert parse(text, "c").unread == (("ipset", "failed with status 1"),)


def test_ten_thousand_containers_are_read_in_seconds() -> None:
    rows = (
        json.dumps({"Id": f"{n:064x}", "Name": f"/c{n}", "State": "running", "Pid": n + 1, "Ports": {}, "Networks": {}})
        for n in range(10_000)
    )
    assert len(parse(captured(docker_containers="\n".join(rows)), "c").containers) == 10_000


# less complete captures


IP_ADDR = """1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
2: eth0@if7: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UP group default
    link/ether 00:00:5e:00:53:01 brd ff:ff:ff:ff:ff:ff link-netnsid 0
    altname enp1s0
    inet 192.0.2.5/24 brd 192.0.2.255 scope global dynamic eth0
       valid_lft 80000sec preferred_lft 80000sec
    inet6 2001:db8::5/64 scope global
       valid_lft forever preferred_lft forever
3: wg0: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1420 qdisc noqueue state UNKNOWN group default
    link/none
    wireguard numtxqueues 1
    inet 10.8.0.1 peer 10.8.0.2/32 scope global wg0
"""


ROUTES = """default via 192.0.2.1 dev eth0 proto dhcp metric 100
192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.5
local 192.0.2.5 dev eth0 table local proto kernel
blackhole 10.0.0.0/8
"""


def _files(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def _read(spec: object) -> HostCapture:
    found, text = source.read(str(spec))
    again = source.of_text(text, found.source)
    assert again == found
    return found


def test_text_of_ip_addr_is_read_as_json_is(tmp_path: Path) -> None:
    (tmp_path / "addr.txt").write_text(IP_ADDR)
    found = _read(tmp_path / "addr.txt")
    eth0, wg0 = found.links[1:]
    assert (eth0.mtu, eth0.mac, eth0.altnames, eth0.peer, eth0.far) == (1450, "00:00:5e:00:53:01", ("enp1s0",), 7, True)
    assert [str(own.address) for own in eth0.addresses] == ["192.0.2.5/24", "2001:db8::5/64"]
    assert (wg0.kind, str(wg0.addresses[0].peer)) == ("wireguard", "10.8.0.2")


def test_two_files_of_addresses_and_rules_are_a_capture(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(f"[{LINK}]")
    (tmp_path / "b.rules").write_text("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -j DROP\nCOMMIT\n")
    found = _read(f"{tmp_path}/a.json,{tmp_path}/b.rules")
    assert [rules.program for rules in found.rules] == ["iptables-nft"]
    assert found.links[0].addresses[0].address == IPv4Interface("192.0.2.5/24")


def test_sos_report_is_a_capture(tmp_path: Path) -> None:
    _files(
        tmp_path,
        **{
            "sos_commands__networking__ip_-d_address": IP_ADDR,
            "sos_commands__networking__ip_route_show_table_all": ROUTES,
            "sos_commands__networking__ip_-4_rule_list": "0:\tfrom all lookup local\n"
            "100:\tnot from 10.1.0.0/16 fwmark 0x1/0xff lookup 42\n32766:\tfrom all lookup main\n",
            "sos_commands__kernel__sysctl_-a": "kernel.x = 1\nnet.ipv4.ip_forward = 1\n",
            "sos_commands__docker__docker_network_inspect_a": json.dumps(
                [{"Name": "a", "Id": "1", "Driver": "bridge", "IPAM": {"Config": [{"Subnet": "10.2.0.0/16"}]}}]
            ),
            "sos_commands__docker__docker_network_inspect_b": json.dumps(
                [{"Name": "b", "Id": "2", "Driver": "bridge", "IPAM": {"Config": []}}]
            ),
        },
    )
    found = _read(tmp_path)
    assert (found.routes[0].kind, str(found.routes[0].destination)) == ("unicast", "0.0.0.0/0")
    assert [route.kind for route in found.routes if route.kind == "blackhole"] == ["blackhole"]
    rule = found.routing_rules[1]
    assert (rule.inverted, rule.source, rule.mark, rule.mask, rule.table) == (
        True, IPv4Network("10.1.0.0/16"), 1, 0xFF, "42",
    )  # fmt: skip
    assert [network.name for network in found.networks] == ["a", "b"]
    assert found.sysctls == (("net.ipv4.ip_forward", "1"),)


def test_folder_without_any_part_of_a_capture_is_none(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    assert source.find(str(tmp_path)) is None
    with pytest.raises(CaptureError, match="is no capture of a host"):
        source.read(str(tmp_path))


def test_compose_file_and_its_folder_are_no_capture(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    (tmp_path / "ip-addr.txt").write_text(IP_ADDR)
    assert source.find(str(tmp_path)) is None
    assert source.find(str(tmp_path / "compose.yaml")) is None


def test_file_that_is_no_part_beside_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(f"[{LINK}]")
    (tmp_path / "b.txt").write_text("hello\n")
    with pytest.raises(CaptureError, match=r"b\.txt is no part of a capture"):
        source.read(f"{tmp_path}/a.json,{tmp_path}/b.txt")


def test_larger_file_than_the_limit_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "big.capture").open("w") as file:
        file.write("docker-host-testbed capture, format 1\n")
        file.truncate(50 * 1024 * 1024)
    with pytest.raises(CaptureError, match="and the limit is"):
        source.read(str(tmp_path / "big.capture"))
