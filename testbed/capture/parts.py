"""A capture with less in it: a folder, a sos report, or some files of what programs print, as sections."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from testbed.capture.sections import Section
from testbed.errors import CaptureError
from testbed.rules import files

_REMEDY = "Give a file of `invoke capture`, or what `ip -j addr` and `iptables-save` print."
_LIMIT = 64  # files of one folder that are read
# By name, where the content does not say which of two it is: (pattern, section).
_NAMES = (
    (re.compile(r"(ip_)?(-d_|-s_)*-6_route.*|ip-?6-route.*|ip_-6_route_show_table_all"), "routes6"),
    (re.compile(r"ip_route.*|ip-route.*|ip_-4_route.*"), "routes4"),
    (re.compile(r"ip_-6_rule.*|ip-6-rule.*"), "rules6"),
    (re.compile(r"ip_(-4_)?rule.*|ip-rule.*"), "rules4"),
    (re.compile(r"ip6tables.*save.*"), "ip6tables-nft"),
    (re.compile(r"iptables.*save.*"), "iptables-nft"),
    (re.compile(r"nft_(-a_)?list_ruleset|nft.*\.nft|nft-list-ruleset.*"), "nft"),
    (re.compile(r"ipset_?-?save.*"), "ipset"),
    (re.compile(r"sysctl.*"), "sysctls"),
    (re.compile(r"ss_-.*|ss-.*"), "listeners"),
    (re.compile(r"ip_-d_addr.*|ip_addr.*|ip_-o_addr.*|ip-.*addr.*|ip-a(ddr)?\..*"), "addresses"),
    (re.compile(r"docker_network_inspect_.*|docker-network-inspect.*"), "docker-networks"),
    (re.compile(r"docker_inspect_.*|docker-inspect.*|docker_container_inspect_.*"), "docker-containers"),
)
_SOS = (
    *("sos_commands/networking", "sos_commands/firewall_tables", "sos_commands/kernel", "sos_commands/docker"),
    *("sos_commands/docker/containers", "sos_commands/networkmanager"),
)
_IP_ADDR = re.compile(r"\d+: \S+(: <|\s+inet6? )")
_RULE = re.compile(r"\d+:\s+(not )?from ")
_ROUTE = re.compile(r"(default|(local |broadcast |unreachable |blackhole )?[0-9.]+(/\d+)?) (via|dev|proto) ")
_ROUTE6 = re.compile(r"(default|(local |anycast )?[0-9a-f:]*:[0-9a-f:]*(/\d+)?) (via|dev|proto) ")


def in_folder(folder: Path) -> dict[str, Section]:
    """Return the sections that files of a folder are, or those of a sos report; none where no file is known."""
    places = [folder, *(folder / part for part in _SOS)]
    found = [file for place in places if place.is_dir() for file in sorted(place.iterdir()) if _known(file)]
    if len(found) > _LIMIT * 16:
        raise CaptureError(f"{folder} has {len(found):,} files of networks, and the limit is {_LIMIT * 16}.", _REMEDY)
    return _together(Path(file) for file in found)


def in_files(paths: list[Path]) -> dict[str, Section]:
    """Return the sections that some files are; raises CaptureError for a file whose content is not known."""
    found = _together(paths)
    unknown = [path for path in paths if not any(own.source == files.name_of(path) for own in found.values())]
    if unknown:
        raise CaptureError(f"{unknown[0]} is no part of a capture that is known.", _REMEDY)
    return found


def kind_of(text: str, name: str = "") -> str:
    """Return the name of the section that a text is, by its content and else by its file's name; empty: none."""
    named = next((section for pattern, section in _NAMES if pattern.fullmatch(name)), "")
    return _kind_of_json(text, named) or _kind_of_text(text, named) or named


def _known(file: Path) -> bool:
    return file.is_file() and any(pattern.fullmatch(file.name) for pattern, _ in _NAMES)


def _together(paths: Iterator[Path] | list[Path]) -> dict[str, Section]:
    found: dict[str, Section] = {}
    for path in paths:
        text = files.text_of(path, _REMEDY, CaptureError)
        kind = kind_of(text, path.name)
        if not kind or not text.strip():
            continue
        section = Section(kind, files.name_of(path), 1, tuple(text.rstrip("\n").split("\n")))
        if (before := found.get(kind)) is None:
            found[kind] = section
        elif kind.startswith("docker-"):
            found[kind] = Section(kind, before.source, 1, (*before.lines, *section.lines))
        elif before.lines != section.lines and kind != "addresses":
            raise CaptureError(f"{before.source} and {section.source} are both {kind}.", "Give one of them.")
    return found


def _kind_of_json(text: str, named: str) -> str:
    if text.lstrip()[:1] not in ("[", "{"):
        return ""
    try:
        value, _ = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return ""
    first = value[0] if isinstance(value, list) and value else value
    keys = set(first) if isinstance(first, dict) else set()
    if {"ifindex", "ifname"} <= keys:
        return "addresses"
    if "priority" in keys:
        return named if named.startswith("rules") else "rules4"
    if "dst" in keys:
        return "routes6" if any(":" in str(one.get("dst")) for one in value if isinstance(one, dict)) else "routes4"
    if "IPAM" in keys:
        return "docker-networks"
    return "docker-containers" if "NetworkSettings" in keys else ""


def _kind_of_text(text: str, named: str) -> str:
    lines = [line for line in text.split("\n", 200)[:200] if line.strip()]
    if not lines:
        return ""
    words = next((line.split() for line in lines if not line.startswith("#")), [""])
    if words[0].startswith("*") or any(re.match(r":[A-Z]+ [A-Z-]+ ?(\[|$)", line) for line in lines):
        return _kind_of_iptables(text, named)
    kinds = ((_IP_ADDR, "addresses"), (_ROUTE, "routes4"), (_ROUTE6, "routes6"))
    if kind := next((kind for pattern, kind in kinds if pattern.match(lines[0])), ""):
        return kind
    if _RULE.match(lines[0]):
        return named if named.startswith("rules") else "rules4"
    if words[0] == "table" and lines[0].rstrip().endswith("{"):
        return "nft"
    if words[0] == "create" and len(words) > 2:
        return "ipset"
    return "sysctls" if re.match(r"[a-z0-9_]+\.\S+ = ?", lines[0]) else ""


def _kind_of_iptables(text: str, named: str) -> str:
    """Return which iptables printed rules: by the comments before tables, by the file's name, or IPv4's."""
    if named in ("iptables-nft", "ip6tables-nft"):
        return named
    return "ip6tables-nft" if re.search(r"^# Generated by (x?t?ip6tables|ip6)", text, re.MULTILINE) else "iptables-nft"
