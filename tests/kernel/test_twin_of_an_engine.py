"""The script in the network namespace of a real engine, and the twin of what it prints: the same answers, line by line.

The engine is the installed one. A host with much beside Docker is captured, and its twin is made of the text alone.
"""

from __future__ import annotations

import subprocess

import pytest
from pyroute2 import IPRoute

from testbed.capture.notes import NoteKind
from testbed.capture.reader import parse
from testbed.capture.sections import SCRIPT
from testbed.capture.twin import twin
from testbed.conformance import image
from testbed.conformance.engine import RealEngine
from testbed.conformance.programs import EnginePrograms, find
from testbed.conformance.run import Conformance, examine_twin, version_of
from testbed.docker import hostfile
from testbed.docker.surroundings import UplinkKind
from testbed.kernel.devices import write_sysctls
from testbed.kernel.namespace import quarantine

HOST = hostfile.parse(
    """
networks: {six: {enable_ipv6: true, ipam: {config: [{subnet: 10.6.0.0/24}, {subnet: '2001:db8:1::/64'}]}}}
services:
  web: {network_mode: bridge, ports: ['80:80']}
  app: {networks: [six], ports: ['8082:80', '127.0.0.1:8083:80', '5353:53/udp']}
"""
)
RULES = """-P INPUT DROP
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i ens33 -p tcp --dport 22 -j ACCEPT
-I DOCKER-USER -m set --match-set banned src -j DROP
"""
OWN = "table inet own { chain forward { type filter hook forward priority 10; tcp dport 9999 drop; }; }"


def harden(engine: RealEngine) -> None:
    """Give an engine's host what hosts have beside Docker."""
    far = engine.around["internet"].fd
    engine.host.netlink(lambda ip: _second_uplink(ip, far))
    engine.host.run(write_sysctls, (("net.ipv4.conf.ens33.rp_filter", "1"), ("net.ipv4.conf.eth1.rp_filter", "2")))
    _run(engine, "ipset", "create", "banned", "hash:ip")
    _run(engine, "ipset", "add", "banned", "192.0.2.66")
    for line in RULES.splitlines():
        _run(engine, "iptables-nft", *line.split())
    _run(engine, "nft", OWN)
    lan = {"Driver": "macvlan", "IPAM": {"Config": [{"Subnet": "198.51.100.0/24"}]}, "Options": {"parent": "eth1"}}
    engine.api.post("/networks/create", {"Name": "lan", **lan})
    _container(engine, "station", "lan")
    for name, mode in (("onhost", "host"), ("alone", "none"), ("beside", "container:web")):
        _container(engine, name, mode)
    _container(engine, "stopped", "bridge", started=False)
    _container(engine, "random", "bridge", ports={"80/tcp": [{"HostIp": "", "HostPort": ""}]})


def _run(engine: RealEngine, *command: str) -> None:
    done = engine.host.command(command)
    assert done.returncode == 0, done.stderr


def _second_uplink(ip: IPRoute, far: int) -> None:
    ip.link("add", ifname="eth1", kind="veth", peer={"ifname": "far", "net_ns_fd": far})
    (eth1,), (ens33,) = (ip.link_lookup(ifname=name) for name in ("eth1", "ens33"))
    ip.link("set", index=eth1, state="up")
    for index, address in ((eth1, "198.51.100.7"), (ens33, "192.168.66.101")):
        ip.addr("add", index=index, address=address, prefixlen=24, broadcast=f"{address.rpartition('.')[0]}.255")
    ip.route("add", dst="default", gateway="198.51.100.1", oif=eth1, table=100)
    ip.route("add", dst="10.200.0.0/16", type="unreachable", proto="boot")
    ip.rule("add", src="198.51.100.7", src_len=32, table=100, priority=1000)


def _container(engine: RealEngine, name: str, mode: str, started: bool = True, ports: object = None) -> None:
    about = {"Image": f"{image.NAME}:{image.TAG}", "Cmd": ["/bin/busybox", "sleep", "1000"]}
    exposed = {"ExposedPorts": {"80/tcp": {}}} if ports else {}
    config = {"NetworkMode": mode, **({"PortBindings": ports} if ports else {})}
    engine.api.post(f"/containers/create?name={name}", {**about, **exposed, "HostConfig": config})
    if started:
        engine.api.post(f"/containers/{name}/start")


@pytest.fixture(scope="module")
def programs() -> EnginePrograms:
    return find()


@pytest.fixture(scope="module")
def examined(programs: EnginePrograms) -> tuple[Conformance, str]:
    """The comparison of the hard host with its twin, and its capture."""
    texts: list[str] = []

    def hardened(engine: RealEngine) -> None:
        harden(engine)
        texts.append(engine.captured())

    with quarantine():
        found = examine_twin("the hard host", HOST, programs, version_of(programs), hardened)
    return found, texts[0]


def test_twin_of_the_hard_host_is_equal_line_by_line_and_packet_by_packet(examined: tuple[Conformance, str]) -> None:
    found, _ = examined
    assert not found.refused
    assert {aspect: lines for aspect, lines in found.differences.items() if lines} == {}
    assert {"rules", "addresses", "routes", "sysctls", "packets"} <= found.differences.keys()


def test_capture_of_the_hard_host_has_all_of_it(examined: tuple[Conformance, str]) -> None:
    made = twin(parse(examined[1], "hard.capture"))
    outside = made.host.surroundings
    assert [(uplink.name, uplink.kind) for uplink in outside.uplinks] == [
        ("ens33", UplinkKind.PLAIN),
        ("eth1", UplinkKind.PLAIN),
    ]
    assert "192.168.66.101/24" in map(str, outside.main.addresses)
    assert [(rule.priority, rule.table) for rule in outside.routing_rules] == [(1000, 100)]
    sysctls = dict(outside.sysctls)
    assert (sysctls["net.ipv4.conf.ens33.rp_filter"], sysctls["net.ipv4.conf.eth1.rp_filter"]) == ("1", "2")
    assert made.rules is not None
    assert "add banned 192.0.2.66" in made.rules.sets
    (station,) = outside.stations
    assert (station.name, station.uplink, station.driver) == ("station", "eth1", "macvlan")
    assert {container.name for container in made.host.containers} == {"web", "app", "random"}
    random = next(container for container in made.host.containers if container.name == "random")
    assert all(port.host >= 32768 for port in random.published)
    assert random.published
    assert (made.host.node_called("beside"), made.host.node_called("onhost")) == ("web", "host")


def test_what_a_bed_lacks_of_the_hard_host_is_named(examined: tuple[Conformance, str]) -> None:
    made = twin(parse(examined[1], "hard.capture"))
    missing = [note.text for note in made.of_kind(NoteKind.MISSING)]
    assert "nftables has tables beside those of iptables: inet own. They are not in the bed." in missing
    assert "Not in the bed, since they do not run: stopped." in missing
    silent = [note.text for note in made.of_kind(NoteKind.CONTRADICTION)]
    assert [text.partition(" ")[0] for text in silent] == ["app", "random"]


def test_script_changes_nothing_on_the_host_that_it_reads(programs: EnginePrograms) -> None:
    """Rules, sets, tables of nftables, addresses, routes and routing rules before and after."""
    from testbed.conformance.engine import running

    shown = "iptables-save; nft list ruleset; ipset save; ip -4 addr; ip -4 route show table all; ip -4 rule"
    listing = ["sh", "-c", shown]
    with quarantine(), running(programs) as engine:
        _run(engine, "ipset", "create", "banned", "hash:ip")
        _run(engine, "nft", OWN)
        before = _without_time(engine.host.command(listing).stdout)
        text = engine.captured()
        assert text.endswith("== end of capture\n")
        assert not {"addresses", "iptables-nft", "listeners"} & {*parse(text, "c").changed}
        assert _without_time(engine.host.command(listing).stdout) == before
        assert "table inet own {" in before


def _without_time(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#") and "valid_lft" not in line]


def test_script_is_short_and_a_shell_without_extensions_reads_it() -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 300
    for shell in (["sh", "-n"], ["busybox", "sh", "-n"]):
        assert subprocess.run(shell, input=text, text=True, check=False).returncode == 0
