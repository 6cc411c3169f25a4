"""The model against what moby's own documents and tests say of its rules (tests/data/moby), tag by tag."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path

import pytest

from testbed.docker.engines import NATIVE, engine
from testbed.docker.host import Container, DockerHost, GatewayMode, Network, PublishedPort
from testbed.rules.ruleset import Chain, Rule, Table

DATA = Path(__file__).parent.parent / "data" / "moby"
MAC = "02:42:00:00:00:01"


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing of moby's: what it is called, the tags that have it, and its tables or chains, each a list of lines."""

    name: str
    tags: tuple[str, ...]
    parts: tuple[tuple[str, ...], ...]


def listings(kind: str) -> list[Listing]:
    told = json.loads((DATA / f"{kind}.json").read_text())
    return [
        Listing(
            entry["name"],
            tuple(told["tags"][entry["tags"]]),
            tuple(tuple(told["parts"][number]) for number in entry["parts"]),
        )
        for entry in told["listings"]
    ]


def cases(kind: str, without: str) -> list[object]:
    """Each listing at the first tag that has it, and at the last."""
    return [
        pytest.param(listing, tag, id=f"{tag}-{listing.name}")
        for listing in listings(kind)
        if without not in listing.name
        for tag in dict.fromkeys((listing.tags[0], listing.tags[-1]))
    ]


DOCKER0 = Network("docker0", IPv4Interface("172.17.0.1/16"), MAC, name="bridge")
BRIDGE1 = Network("bridge1", IPv4Interface("192.0.2.1/24"), MAC, name="bridge1")
PLAIN, LOOPBACK = PublishedPort(8080, 80), PublishedPort(8080, 80, address=IPv4Address("127.0.0.1"))


def published(network: Network, port: PublishedPort = PLAIN) -> DockerHost:
    container = Container("c1", network, IPv4Address("192.0.2.2"), MAC, "veth1", MAC, (port,))
    return DockerHost((DOCKER0, network), (container,))


def on_internal_networks() -> DockerHost:
    icc = replace(BRIDGE1, bridge="bridgeICC", name="bridgeICC", internal=True)
    closed = replace(icc, bridge="bridgeNoICC", name="bridgeNoICC", gateway=IPv4Interface("198.51.100.1/24"), icc=False)
    return DockerHost(
        (DOCKER0, icc, closed),
        (
            Container("c1", icc, IPv4Address("192.0.2.2"), MAC, "veth1", MAC),
            Container("c2", closed, IPv4Address("198.51.100.2"), MAC, "veth2", MAC),
        ),
    )


DOCUMENTED = {
    "new-daemon": DockerHost((DOCKER0,), ()),
    "usernet-internal": on_internal_networks(),
    "usernet-portmap": published(BRIDGE1),
    "usernet-portmap-lo": published(BRIDGE1, LOOPBACK),
    "usernet-portmap-natunprot": published(replace(BRIDGE1, mode=GatewayMode.NAT_UNPROTECTED)),
    "usernet-portmap-noicc": published(replace(BRIDGE1, icc=False)),
    "usernet-portmap-noproxy": replace(published(BRIDGE1), userland_proxy=False),
    "usernet-portmap-routed": published(replace(BRIDGE1, mode=GatewayMode.ROUTED)),
}


def in_goldens(name: str) -> DockerHost:
    """The host of a test of moby's: one network, one container, a port of it."""
    if name.startswith("no__"):
        return DockerHost((), (), ip6tables=False, iptables=False)
    told = dict(part.split("=") for part in name.split("__")[0].split(",") if "=" in part)
    proxy = told["hairpin"] == "false"
    if name.startswith("cleaned"):
        return DockerHost((), (), userland_proxy=proxy, ip6tables=True)
    snat, mode = told.get("snat") == "true", GatewayMode(told.get("gwm", "nat"))
    network = Network(
        "br-dummy",
        IPv4Interface("192.168.0.1/24"),
        MAC,
        icc=told["icc"] == "true",
        masquerade=told.get("masq") == "true",
        internal=told["internal"] == "true",
        mode=mode,
        gateway6=IPv6Interface("fd49:efd7:54aa::ff/64"),
        mode6=mode,
        snat=IPv4Address("192.168.123.0") if snat else None,
        snat6=IPv6Address("fd34:d0d4:672f::123") if snat else None,
    )
    own = (IPv4Address("127.0.0.1"), IPv6Address("::1")) if told.get("bindlh") == "true" else (None,)
    ports = tuple(PublishedPort(8080, 80, address=address) for address in own)
    at = (network, IPv4Address("192.168.0.2"), MAC, "veth1", MAC)
    return DockerHost(
        (network,), (Container("c1", *at, ports, address6=IPv6Address("fd49:efd7:54aa::1")),), userland_proxy=proxy
    )


def engines_own(listing: Listing) -> list[tuple[str, ...]]:
    """What an engine can come to write of it: moby's test gives routed networks a port of the host, no engine does."""
    if "gwm=routed" not in listing.name:
        return sorted(listing.parts)
    kept = ([line for line in part if not any(word in line for word in OF_A_HOST_PORT)] for part in listing.parts)
    return sorted(tuple(part) for part in kept if len(part) > 1 or part[0].startswith("chain"))


OF_A_HOST_PORT = ("dport 8080 ", "--dport 80 -j MASQUERADE", "MASQ TO OWN PORT")


def lines(tables: Iterable[Table], prefix: str, but: str = "nothing") -> list[tuple[str, ...]]:
    """What tables say in the words of `iptables -S`, without built-in chains' policies and lines about `but`."""
    found = []
    for table in tables:
        chains = [f"-N {entry.name}" for entry in table.entries if isinstance(entry, Chain) and entry.policy is None]
        rules = [entry.text for entry in table.entries if isinstance(entry, Rule)]
        own = [line for line in chains + rules if but not in line]
        if own:
            found.append((f"*{table.name.removeprefix(prefix)}", *own))
    return sorted(found)


def test_the_documents_say_more_than_nothing() -> None:
    tags = {tag for listing in listings("iptablesdoc") for tag in listing.tags}
    assert len(tags) == 47
    assert {"28.0.0", "28.5.2", "29.0.0", "29.7.2"} < tags
    known = {listing.name for listing in listings("iptablesdoc")}
    assert known == {*DOCUMENTED, "swarm-portmap"}
    assert {listing.name for listing in listings("nftablesdoc")} == set(DOCUMENTED)
    assert [len(listings(kind)) for kind in ("iptabler", "nftabler")] == [566, 282]


@pytest.mark.parametrize(("listing", "tag"), cases("iptablesdoc", "swarm"))
def test_iptables_has_the_rules_of_the_document(listing: Listing, tag: str) -> None:
    """Of some hosts the document leaves out the raw table."""
    tables = [table for table in engine(tag).rules(DOCUMENTED[listing.name]).tables if not table.of_ipv6]
    listed = {part[0] for part in listing.parts}
    assert listed >= {"*filter", "*nat"}
    assert [part for part in lines(tables, "") if part[0] in listed] == sorted(listing.parts)


@pytest.mark.parametrize(("listing", "tag"), cases("iptabler", "wsl2mirrored"))
def test_iptables_has_the_rules_that_its_own_test_expects(listing: Listing, tag: str) -> None:
    """Those tests have no DOCKER-USER, which another part of the engine makes."""
    six = listing.name.endswith("ip6tables")
    tables = [table for table in engine(tag).rules(in_goldens(listing.name)).tables if table.of_ipv6 == six]
    assert lines(tables, "ip6 ", but="DOCKER-USER") == engines_own(listing)


def parts_of_nft(text: str, table: str) -> list[tuple[str, ...]]:
    """The maps and chains of a table, each a list of lines; a priority in the words of newer nft."""
    found: list[list[str]] = []
    of_it = text.split(f"table {table} docker-bridges {{\n")[1].split("\n}\n")[0]
    for line in filter(None, (line.strip() for line in of_it.splitlines())):
        if line.startswith(("map ", "chain ")):
            found.append([line.removesuffix(" {")])
        elif line != "}":
            found[-1].append(line.replace("hook output priority -100", "hook output priority dstnat"))
    return sorted(map(tuple, found))


@pytest.mark.parametrize(("listing", "tag"), cases("nftablesdoc", "swarm"))
def test_nftables_has_the_rules_of_the_document(listing: Listing, tag: str) -> None:
    assert engine(tag).name == "29"
    written = NATIVE.rules(DOCUMENTED[listing.name])
    assert parts_of_nft(written.text, "ip") == sorted(listing.parts)


@pytest.mark.parametrize(("listing", "tag"), cases("nftabler", "wsl2mirrored"))
def test_nftables_has_the_rules_that_its_own_test_expects(listing: Listing, tag: str) -> None:
    assert engine(tag).name == "29"
    written = NATIVE.rules(in_goldens(listing.name))
    family = listing.name.split("__")[1]
    assert parts_of_nft(written.text, family) == engines_own(listing)
