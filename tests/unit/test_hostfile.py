"""docker.yaml: what it may say, and what is said of what it may not."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path

import pytest

from testbed import PublishedPort
from testbed.docker import hostfile
from testbed.docker.host import GatewayMode
from testbed.errors import TopologyError

WHOLE = """
name: shop
daemon:
  userland-proxy: false
  icc: false
  bip: 10.9.0.1/24
networks:
  back:
    internal: true
  front:
    ipam: {config: [{subnet: 192.0.2.0/24, gateway: 192.0.2.254}]}
    driver_opts:
      com.docker.network.bridge.name: front0
      com.docker.network.bridge.enable_icc: "false"
      com.docker.network.bridge.enable_ip_masquerade: "false"
      com.docker.network.bridge.gateway_mode_ipv4: routed
services:
  web:
    network_mode: bridge
    image: nginx
    ports: ["80:80", "127.0.0.1:8081:81", "5353:53/udp", "9000-9002:7000-7002"]
  db:
    networks: [back]
  shop:
    networks: {front: {ipv4_address: 192.0.2.9}}
  other:
    networks:
      front:
"""


def test_everything_that_a_file_can_say() -> None:
    host = hostfile.parse(WHOLE)
    docker0, back, front = host.networks
    assert not host.userland_proxy
    assert (docker0.bridge, docker0.gateway, docker0.icc) == ("docker0", IPv4Interface("10.9.0.1/24"), False)
    assert (back.gateway, back.internal, back.icc, back.mode) == (
        IPv4Interface("172.17.0.1/16"),
        True,
        True,
        GatewayMode.NAT,
    )
    assert back.bridge.startswith("br-")
    assert (front.bridge, front.gateway) == ("front0", IPv4Interface("192.0.2.254/24"))
    assert (front.icc, front.masquerade, front.mode) == (False, False, GatewayMode.ROUTED)
    web, db, shop, other = host.containers
    assert [str(port) for port in web.published] == [
        "80:80/tcp",
        "127.0.0.1:8081:81/tcp",
        "5353:53/udp",
        "9000:7000/tcp",
        "9001:7001/tcp",
        "9002:7002/tcp",
    ]
    assert [str(container.address) for container in (web, db, shop, other)] == [
        "10.9.0.2",
        "172.17.0.2",
        "192.0.2.9",
        "192.0.2.1",
    ]
    assert web.mac == "02:42:0a:09:00:02"
    assert hostfile.parse(WHOLE) == host


def test_ports_know_where_they_are_published() -> None:
    (web, *_) = hostfile.parse(WHOLE).containers
    assert [port.everywhere for port in web.published[:2]] == [True, False]
    assert [port.on_loopback for port in web.published[:2]] == [False, True]
    assert PublishedPort(80, 80).collides_with(PublishedPort(80, 81, address=IPv4Address("127.0.0.1")))
    assert not PublishedPort(80, 80).collides_with(PublishedPort(80, 80, "udp"))


ON_A = "services: {web: {networks: [a]}}"


def service(*lines: str) -> str:
    return "\n".join(["services:", "  web:", *(f"    {line}" for line in lines)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("servces: {}", r"mine, line 1: the key servces is not known here"),
        (service("prts: []"), r"mine, line 3: the key prts is not known here"),
        ("networks:\n  a:\n    driver_opts:\n      x.y: 1", r"line 4: the key x\.y is not known here"),
        ("daemon:\n  bip: here", r"line 2: Expected 4 octets in 'here'"),
        ("daemon:\n  ipv6: true", r"line 2: docker0 with IPv6 wants a subnet"),
        ("daemon:\n  ipv6: true\n  fixed-cidr-v6: 'fd00::/127'", r"line 3: fd00::/127 has no room"),
        ("daemon:\n  fixed-cidr-v6: 10.0.0.0/8", r"line 2: At least 3 parts expected in '10\.0\.0\.0'"),
        ("daemon:\n  icc: perhaps", r"line 2: icc is true or false, not perhaps"),
        ("networks:\n  a:\n    driver: overlay", r"line 3: the driver overlay is not known"),
        (
            "networks:\n  a:\n    driver_opts:\n      com.docker.network.bridge.gateway_mode_ipv4: open",
            r"line 4: 'open' is not a valid GatewayMode",
        ),
        ("networks:\n  a:\n    ipam: {config: [{subnet: 172.17.0.0/24}]}\n" + ON_A, r"line 2: the subnets .* overlap"),
        (
            "networks:\n  a:\n    ipam: {config: [{subnet: 10.0.0.0/8, gateway: 11.0.0.1}]}",
            r"line 3: the gateway 11\.0",
        ),
        (
            "networks:\n  a:\n    driver_opts:\n      com.docker.network.bridge.gateway_mode_ipv4: isolated\n" + ON_A,
            r"line 2: br-\w+: the gateway mode isolated is for internal networks only",
        ),
        (service("networks: [back]"), r"line 3: there is no network back; there are bridge"),
        (service('ports: ["80:"]'), r"line 3: '80:' is no published port"),
        (service("ports:", '  - "80:80"', '  - "80:81"'), r"line 5: port 80/tcp is published by web and by web"),
        (
            service('ports: ["80:80"]') + "\n  b2:\n    ports:\n    - 127.0.0.1:80:8",
            r"line 6: port 80/tcp is published by web",
        ),
        (service('ports: ["1-3:1-2"]'), r"line 3: '1-3:1-2' publishes 2 ports on 3"),
        (service('ports: ["80:80/icmp"]'), r"line 3: icmp has no ports"),
        (service('ports: ["70000:80"]'), r"line 3: 70000 is no port"),
        (service('ports: ["300.1.1.1:80:80"]'), r"line 3: .*300\.1\.1\.1 is no address"),
        (
            service("networks:", "  bridge:", "    ipv4_address: 10.0.0.1"),
            r"line 5: 10\.0\.0\.1 is not in 172\.17\.0\.0/16",
        ),
        (
            service("networks:", "  bridge:", "    ipv4_address: 172.17.0.1"),
            r"line 2: the address 172\.17\.0\.1 is there twice",
        ),
        (service("ports: 80"), r"line 3: a list is expected here"),
        ("services:\n  a b: {}", r"line 2: 'a b' is no name for a container"),
        ("services: {a/b: {}}", r"line 1: 'a/b' is no name for a container"),
        ("services: [web]", r"line 1: keys with values are expected here"),
        ("services: {web", r"line 1: this is no YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, said: str) -> None:
    with pytest.raises(TopologyError, match=said):
        hostfile.parse(text, "mine")


def test_docker0_has_ipv6_where_the_daemon_is_to_have_it() -> None:
    """As 28.5.2 gives addresses out; `fixed-cidr-v6` alone changes nothing on any engine."""
    without = hostfile.parse("daemon: {fixed-cidr-v6: 'fd00::/64'}\nservices: {web: {network_mode: bridge}}")
    assert not without.ipv6
    host = hostfile.parse("daemon: {ipv6: true, fixed-cidr-v6: 'fd00::/64'}\nservices: {web: {network_mode: bridge}}")
    assert host.networks[0].gateway6 == IPv6Interface("fd00::1/64")
    assert host.containers[0].address6 == IPv6Address("fd00::2")


ISOLATED = """
networks:
  apart:
    internal: true
    enable_ipv6: true
    ipam: {config: [{subnet: 10.1.0.0/24}, {subnet: '2001:db8:1::/64', gateway: '2001:db8:1::1'}]}
    driver_opts:
      com.docker.network.bridge.gateway_mode_ipv4: isolated
      com.docker.network.bridge.gateway_mode_ipv6: isolated
  unsaid:
    internal: true
    driver_opts: {com.docker.network.bridge.gateway_mode_ipv4: isolated}
services: {one: {networks: [apart, unsaid]}, two: {networks: [apart]}}
"""


def test_an_isolated_networks_bridge_has_no_address_and_keeps_back_the_one_that_is_asked_for() -> None:
    """As 28.5.2 gives addresses out."""
    host = hostfile.parse(ISOLATED)
    assert [network.bridge_addresses for network in host.networks[1:]] == [(), ()]
    one, two = host.containers
    assert [own.address for own in one.attachments] == [IPv4Address("10.1.0.1"), IPv4Address("172.18.0.1")]
    assert (one.address6, two.address6) == (IPv6Address("2001:db8:1::2"), IPv6Address("2001:db8:1::3"))


def test_an_empty_file_is_a_host_without_containers() -> None:
    host = hostfile.parse("")
    assert (len(host.networks), host.containers, host.userland_proxy) == (1, (), True)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"none\.yaml cannot be read: No such file"):
        hostfile.read(tmp_path / "none.yaml")


SIX = """
networks:
  six:
    enable_ipv6: true
    ipam: {config: [{subnet: '2001:db8:1::/64', gateway: '2001:db8:1::fe'}, {subnet: 10.6.0.0/24}]}
    driver_opts: {com.docker.network.bridge.gateway_mode_ipv6: routed}
services:
  web: {networks: {six: {ipv6_address: '2001:db8:1::80'}}, ports: ['[::]:80:80', '[2001:db8:66::100]:81:80']}
  next: {networks: [six]}
  four: {network_mode: bridge}
"""


def test_a_network_with_ipv6() -> None:
    host = hostfile.parse(SIX)
    six = host.networks[1]
    assert (six.gateway, six.gateway6) == (IPv4Interface("10.6.0.1/24"), IPv6Interface("2001:db8:1::fe/64"))
    assert (six.mode, six.mode6, host.ipv6, host.ip6tables) == (GatewayMode.NAT, GatewayMode.ROUTED, True, None)
    assert [(c.address, c.address6) for c in host.containers] == [
        (IPv4Address("10.6.0.2"), IPv6Address("2001:db8:1::80")),
        (IPv4Address("10.6.0.3"), IPv6Address("2001:db8:1::1")),
        (IPv4Address("172.17.0.2"), None),
    ]
    assert [str(port) for port in host.containers[0].published] == ["[::]:80:80/tcp", "[2001:db8:66::100]:81:80/tcp"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "enable_ipv6: true",
            "enable_ipv6: false",
            r"line 3: a network with IPv6 has `enable_ipv6: true` and a subnet",
        ),
        ("{subnet: 10.6.0.0/24}", "{subnet: '2001:db8:2::/64'}", r"line 5: a network of a bed has one subnet of IPv6"),
        ("10.6.0.0/24", "10.6.0.0/31", r"line 5: 10\.6\.0\.0/31 has no room for a bridge"),
        ("1::80", "2::80", r"line 8: 2001:db8:2::80 is not in 2001:db8:1::/64"),
        ("1::80", "1::fe", r"line 8: the address 2001:db8:1::fe is there twice"),
        (
            "four: {network_mode: bridge}",
            "four: {networks: {bridge: {ipv6_address: '2001:db8::1'}}}",
            r"line 10: the network bridge has no",
        ),
        ("[::]:80:80", "[::]:81:80", r"line 8: port 81/tcp is published by web and by web"),
        ("[::]:80:80", "[::g]:81:80", r"line 8: '\[::g\]:81:80' is no published port"),
    ],
    ids=["not enabled", "two subnets", "no room", "elsewhere", "taken", "no IPv6", "port twice", "no address"],
)
def test_ipv6_that_cannot_be(old: str, new: str, said: str) -> None:
    assert old in SIX
    with pytest.raises(TopologyError, match=said):
        hostfile.parse(SIX.replace(old, new, 1))


SEVERAL = """
networks: {zz: {}, aa: {}, inside: {internal: true}}
services:
  both: {networks: {zz: {ipv4_address: 172.18.0.9}, aa: }}
  only: {networks: [inside, zz]}
  db: {networks: [inside]}
"""


def test_a_service_on_several_networks() -> None:
    both, only, db = hostfile.parse(SEVERAL).containers
    assert [(own.network.name, str(own.address)) for own in both.attachments] == [
        ("testbed_zz", "172.18.0.9"),
        ("testbed_aa", "172.19.0.2"),
    ]
    assert len({own.veth for container in (both, only, db) for own in container.attachments}) == 5
    publishing = [container.gateway and container.gateway.network.name for container in (both, only, db)]
    assert publishing == ["testbed_aa", "testbed_zz", None]


@pytest.mark.parametrize(
    ("networks", "said"),
    [
        ("[inside, inside]", r"line 6: the network of db, br-\w+ is there twice"),
        ("[inside, nowhere]", r"line 6: there is no network nowhere; there are bridge, zz, aa, inside"),
        ("{inside: , aa: {ipv4_address: 172.18.0.7}}", r"line 6: 172\.18\.0\.7 is not in 172\.19\.0\.0/16"),
    ],
    ids=["twice", "unknown", "elsewhere"],
)
def test_networks_that_cannot_be(networks: str, said: str) -> None:
    with pytest.raises(TopologyError, match=said):
        hostfile.parse(SEVERAL.replace("db: {networks: [inside]}", f"db: {{networks: {networks}}}"))


def on_all(number: int) -> str:
    return f"services: {{all: {{networks: [{', '.join(f'n{one}' for one in range(number))}]}}}}"


def test_subnets_are_given_out_as_docker_does_and_spare_the_lan() -> None:
    """Fourteen of 172.18.0.0/16 ... are left beside docker0's, then come pieces of 192.168.0.0/16."""
    names = "".join(f"  n{number}: {{}}\n" for number in range(19))
    subnets = [str(network.subnet) for network in hostfile.parse(f"networks:\n{names}" + on_all(19)).networks]
    assert subnets[:2] == ["172.17.0.0/16", "172.18.0.0/16"]
    assert subnets[14:] == [
        "172.31.0.0/16",
        *(f"192.168.{third}.0/20" for third in (0, 16, 32, 48, 80)),
    ]


def test_more_networks_or_containers_than_there_is_room_for() -> None:
    names = "".join(f"  n{number}: {{}}\n" for number in range(30))
    with pytest.raises(TopologyError, match=r"line 31: all subnets that Docker gives out by itself are taken"):
        hostfile.parse(f"networks:\n{names}" + on_all(30))
    small = "networks: {n1: {ipam: {config: [{subnet: 10.0.0.0/30}]}}}\n"
    with pytest.raises(TopologyError, match=r"line 4: 10\.0\.0\.0/30 has no free address any more"):
        hostfile.parse(small + "services:\n  c1: {networks: [n1]}\n  c2: {networks: [n1]}\n")
