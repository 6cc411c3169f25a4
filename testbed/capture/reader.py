"""Read a capture: from its text to values, with the line of what is not understood."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from testbed.capture import engines, objects, sockets
from testbed.capture.objects import Item
from testbed.capture.sections import AGAIN, Section, sections
from testbed.capture.values import (
    CapturedAddress,
    CapturedLink,
    CapturedNamespace,
    CapturedNeighbour,
    CapturedRoute,
    CapturedRule,
    CapturedRules,
    HostCapture,
)
from testbed.errors import CaptureError
from testbed.rules.files import shown
from testbed.topology import LONGEST_NAME, Address, Prefix

_RULES = ("iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy", "nft", "ipset", "ebtables")
_INSIDE = re.compile(r"inside-(\d+)-([a-z0-9]+)")
_SYSCTL = re.compile(r"(net\.\S+) = ?(.*)")
_NO_INTERFACES = "A twin needs at least what `ip -j addr` prints."


def parse(text: str, source: str) -> HostCapture:
    """Return the values of a capture's text; raises CaptureError for what cannot be read."""
    return from_sections(sections(text, source), source)


def from_sections(found: Mapping[str, Section], source: str) -> HostCapture:
    """Return the values of sections; raises CaptureError with the line of what is not understood."""
    links = tuple(_links(found.get("addresses"), required=source))
    about = dict(line.partition(" ")[::2] for line in found["versions"].lines) if "versions" in found else {}
    return HostCapture(
        source,
        links,
        taken=about.get("time", ""),
        host=about.get("host", ""),
        kernel=about.get("kernel", ""),
        routes=tuple(_routes(found, "")),
        routing_rules=tuple(_rules(found, "")),
        neighbours=tuple(_neighbours(found.get("neighbours"))),
        sysctls=tuple(_sysctls(found.get("sysctls"))),
        rules=tuple(CapturedRules(name, found[name].text) for name in _RULES if _read(found, name)),
        listeners=tuple(sockets.listeners(found.get("listeners"))),
        tc=found["tc"].lines if _read(found, "tc") else (),
        ipvs=found["ipvs"].lines if _read(found, "ipvs") else (),
        connections=_connections(found.get("conntrack")),
        engines=tuple(engines.engines(found)),
        networks=tuple(engines.networks(found)),
        containers=tuple(engines.containers(found)),
        namespaces=tuple(_namespaces(found)),
        changed=found["changed"].lines if _read(found, "changed") else (),
        unread=tuple((own.name, own.failure) for own in found.values() if own.failure),
    )


def _read(found: Mapping[str, Section], name: str) -> bool:
    return name in found and not found[name].failure


def _links(section: Section | None, required: str = "") -> Iterator[CapturedLink]:
    if required and section is None:
        raise CaptureError(f"{required} has no interfaces and addresses.", _NO_INTERFACES)
    if required and section is not None and section.failure:
        raise CaptureError(f"{section.place()}: the interfaces could not be read ({section.failure}).", AGAIN)
    items = objects.objects(section, objects.links_in_text)
    if required and not items:
        raise CaptureError(f"{required} has no interfaces and addresses.", _NO_INTERFACES)
    for item in items:
        yield _link(item)


def _link(item: Item) -> CapturedLink:
    name = item.need("ifname")
    if len(name) > LONGEST_NAME:
        item.refuse(
            f"the interface {shown(name)!r} has {len(name)} characters, and Linux allows {LONGEST_NAME}: no host has it"
        )
    value, about = item.value, _part(item.value, "linkinfo")
    port, data = _part(about, "info_slave_data"), _part(about, "info_data")
    flags = value.get("flags") or ()
    return CapturedLink(
        name,
        item.need("ifindex", int),
        str(value.get("address") or ""),
        kind=str(about.get("info_kind") or ""),
        type=str(value.get("link_type") or "ether"),
        mtu=value["mtu"] if isinstance(value.get("mtu"), int) else 1500,
        up="UP" in flags,
        master=str(value.get("master") or ""),
        parent=str(value.get("link") or ""),
        peer=value["link_index"] if isinstance(value.get("link_index"), int) else None,
        far="link_netnsid" in value,
        addresses=tuple(_addresses(item)),
        altnames=tuple(map(str, value.get("altnames") or ())),
        hairpin=bool(port.get("hairpin")),
        isolated=bool(port.get("isolated")),
        vlan_filtering=bool(data.get("vlan_filtering")),
        xdp="xdp" in value,
        line=item.section.line + item.line,
    )


def _part(whole: dict[str, Any], key: str) -> dict[str, Any]:
    value = whole.get(key)
    return value if isinstance(value, dict) else {}


def _addresses(item: Item) -> Iterator[CapturedAddress]:
    found = item.value.get("addr_info") or ()
    for value in found if isinstance(found, list) else ():
        if not isinstance(value, dict) or not value.get("local") or value.get("family") not in ("inet", "inet6"):
            continue
        try:
            address = ip_interface(f"{value['local']}/{value.get('prefixlen')}")
            peer = ip_address(value["address"]) if value.get("address") else None
        except ValueError:
            item.refuse(f"{shown(str(value['local']))}/{value.get('prefixlen')} is no address")
        yield CapturedAddress(address, str(value.get("scope") or "global"), peer)


def _routes(found: Mapping[str, Section], before: str) -> Iterator[CapturedRoute]:
    for version in (4, 6):
        for item in objects.objects(found.get(f"{before}routes{version}"), objects.routes_in_text):
            yield _route(item, version)


def _route(item: Item, version: int) -> CapturedRoute:
    value = item.value
    hops = value.get("nexthops")
    first = hops[0] if isinstance(hops, list) and hops and isinstance(hops[0], dict) else value
    metric = value.get("metric")
    return CapturedRoute(
        _prefix(item, item.need("dst"), version),
        str(value.get("type") or "unicast"),
        _address(item, first.get("gateway") or _part(first, "via").get("host")),
        str(first.get("dev") or value.get("dev") or ""),
        str(value.get("table") or "main"),
        metric if isinstance(metric, int) else 0,
        _address(item, value.get("prefsrc")),
        str(value.get("protocol") or "boot"),
        str(value.get("scope") or ""),
        tuple(map(str, (*(value.get("flags") or ()), *((first.get("flags") or ()) if first is not value else ())))),
        len(hops) if isinstance(hops, list) else 1,
        item.section.line + item.line,
    )


def _prefix(item: Item, text: str, version: int, length: object = None) -> Prefix:
    if text in ("default", "all"):
        text = "0.0.0.0/0" if version == 4 else "::/0"
    try:
        return ip_network(f"{text}/{length}" if length is not None else text, strict=False)
    except ValueError:
        item.refuse(f"{shown(text)!r} is no network")


def _address(item: Item, text: object) -> Address | None:
    if not text:
        return None
    try:
        return ip_address(str(text))
    except ValueError:
        item.refuse(f"{shown(str(text))!r} is no address")


def _rules(found: Mapping[str, Section], before: str) -> Iterator[CapturedRule]:
    for version in (4, 6):
        for item in objects.objects(found.get(f"{before}rules{version}"), objects.rules_in_text):
            yield _rule(item, version)


_KNOWN = {
    *("priority", "table", "action", "src", "srclen", "dst", "dstlen", "fwmark", "fwmask", "iif", "oif", "ipproto"),
    *("sport", "sport_start", "sport_end", "dport", "dport_start", "dport_end", "not", "suppress_prefixlen"),
    *("protocol", "iif_detached", "oif_detached"),
}


def _rule(item: Item, version: int) -> CapturedRule:
    value = item.value
    suppressed = value.get("suppress_prefixlen")
    return CapturedRule(
        version,
        item.need("priority", int),
        str(value.get("table") or ""),
        str(value.get("action") or "lookup"),
        _selected(item, "src", version),
        _selected(item, "dst", version),
        mark=_number(item, value.get("fwmark")),
        mask=_number(item, value.get("fwmask", "0xffffffff")),
        entered=str(value.get("iif") or ""),
        left=str(value.get("oif") or ""),
        protocol=str(value.get("ipproto") or ""),
        source_ports=_range(item, "sport"),
        destination_ports=_range(item, "dport"),
        inverted="not" in value,
        suppress_prefix=suppressed if isinstance(suppressed, int) else None,
        other=tuple(sorted(set(value) - _KNOWN)),
        line=item.section.line + item.line,
    )


def _selected(item: Item, key: str, version: int) -> Prefix | None:
    text = item.value.get(key)
    if text in (None, "all"):
        return None
    return _prefix(item, str(text), version, item.value.get(f"{key}len"))


def _number(item: Item, text: object) -> int | None:
    try:
        return int(str(text), 0) if text is not None else None
    except ValueError:
        item.refuse(f"{shown(str(text))!r} is no number")


def _range(item: Item, key: str) -> tuple[int, int] | None:
    single = _number(item, item.value.get(key))
    if single is not None:
        return single, single
    start, end = (_number(item, item.value.get(f"{key}_{edge}")) for edge in ("start", "end"))
    return (start, end) if start is not None and end is not None else None


def _neighbours(section: Section | None) -> Iterator[CapturedNeighbour]:
    for item in objects.objects(section, objects.neighbours_in_text):
        address = _address(item, item.need("dst"))
        if address is not None and item.value.get("lladdr") and "PERMANENT" in (item.value.get("state") or ()):
            yield CapturedNeighbour(address, str(item.value["lladdr"]), str(item.value.get("dev") or ""))


def _sysctls(section: Section | None) -> Iterator[tuple[str, str]]:
    if section is None or section.failure:
        return
    for number, line in enumerate(section.lines):
        found = _SYSCTL.fullmatch(line.strip())
        if found is not None:
            yield found[1], " ".join(found[2].split())
        elif line.strip() and line.startswith("net."):
            raise CaptureError(f"{section.place(number)}: {shown(line)!r} is no sysctl.", AGAIN)


def _connections(section: Section | None) -> int | None:
    text = "".join(section.lines).strip() if section is not None and not section.failure else ""
    return int(text) if text.isdigit() else None


def _namespaces(found: Mapping[str, Section]) -> Iterator[CapturedNamespace]:
    processes = dict.fromkeys(int(part[1]) for name in found if (part := _INSIDE.fullmatch(name)) is not None)
    for process in processes:
        before = f"inside-{process}-"
        yield CapturedNamespace(
            process,
            tuple(_links(found.get(f"{before}addresses"))),
            tuple(_routes(found, before)),
            tuple(_rules(found, before)),
            tuple(sockets.listeners(found.get(f"{before}listeners"))),
        )
