"""Sections as objects: JSON of iproute2 and of engines, or the text that iproute2 prints without it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn

from testbed.capture.sections import AGAIN, Section
from testbed.errors import CaptureError
from testbed.rules.files import shown

_SPACE = re.compile(r"\s*")
_LINK = re.compile(r"(?P<index>\d+): (?P<name>[^\s:@]+)(?:@(?P<of>[^\s:]+))?:? (?P<rest>.*)")
_ADDRESS = re.compile(
    r"(?P<family>inet6?) (?P<local>[^\s/]+)(?: peer (?P<peer>[^\s/]+))?(?:/(?P<length>\d+))?(?P<rest>.*)"
)
_SCOPE = re.compile(r" scope (\S+)")
_KINDS = (
    "bridge|veth|vlan|bond|macvlan|macvtap|ipvlan|wireguard|tun|dummy|vxlan|geneve|vrf|ifb|team|ppp|gre|sit|ipip|vti"
)
_KIND = re.compile(rf"({_KINDS})(?: .*)?")
_ROUTE_TYPES = (
    *("unicast", "local", "broadcast", "multicast", "anycast", "throw", "unreachable", "prohibit", "blackhole", "nat"),
)
_RULE = re.compile(r"(?P<priority>\d+):\s+(?P<rest>.*)")
_RULE_ACTIONS = ("blackhole", "prohibit", "unreachable", "nop", "goto")


@dataclass(frozen=True, slots=True)
class Item:
    """An object of a section, and the line where it begins, counted within the section from 0."""

    section: Section
    line: int
    value: dict[str, Any]

    def refuse(self, why: str) -> NoReturn:
        """Raise CaptureError with the place of this object."""
        raise CaptureError(f"{self.section.place(self.line)}, in {self.section.name}: {why}.", AGAIN)

    def need(self, key: str, kind: type | tuple[type, ...] = str) -> Any:
        """Return the value of a key; raises CaptureError when it is missing or of another type."""
        value = self.value.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            self.refuse(f"{shown(json.dumps(self.value))} has no {key} that is understood")
        return value

    def beside(self, value: dict[str, Any]) -> Item:
        """Return a part of this object, at its place."""
        return Item(self.section, self.line, value)


def objects(section: Section | None, text: Callable[[Section], Iterator[Item]] | None = None) -> list[Item]:
    """Return the objects of a section; `text` reads it if it is no JSON. A section that has nothing has none.

    Raises CaptureError for what is neither, with the line.
    """
    if section is None or section.failure:
        return []
    first = next((line.strip() for line in section.lines if line.strip()), "")
    if text is not None and first[:1] not in ("[", "{"):
        return list(text(section))
    return list(_json(section))


def _json(section: Section) -> Iterator[Item]:
    body = "\n".join(section.lines)
    decoder, at = json.JSONDecoder(), _SPACE.match(body).end()  # type: ignore[union-attr] # it always matches
    while at < len(body):
        line = body.count("\n", 0, at)
        try:
            value, end = decoder.raw_decode(body, at)
        except (json.JSONDecodeError, RecursionError) as error:
            _not_understood(section, line + _further(error, body, at))
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, dict):
                _not_understood(section, line)
            if one:
                yield Item(section, line, one)
        at = _SPACE.match(body, end).end()  # type: ignore[union-attr]


def _further(error: Exception, body: str, at: int) -> int:
    return body.count("\n", at, error.pos) if isinstance(error, json.JSONDecodeError) else 0


def _not_understood(section: Section, number: int) -> NoReturn:
    line = section.lines[number] if number < len(section.lines) else ""
    raise CaptureError(
        f"{section.place(number)}: this line of {section.name} is not understood: {shown(line.strip())!r}.", AGAIN
    )


def links_in_text(section: Section) -> Iterator[Item]:
    """Yield the links that `ip addr` prints without JSON, with the keys that JSON has; also those of `ip -o addr`."""
    found: dict[str, Item] = {}
    current: Item | None = None
    for number, line in enumerate(section.lines):
        if not line.strip():
            continue
        if (link := _LINK.fullmatch(line)) is not None:
            current = found.setdefault(link["name"], Item(section, number, {**_link(link), "addr_info": []}))
            if not link["rest"].startswith("<"):
                _add_to(current, link["rest"].strip().split("\\")[0].strip())
        elif current is None or not line[:1].isspace():
            _not_understood(section, number)
        else:
            _add_to(current, line.strip())
    yield from found.values()


def _link(found: re.Match[str]) -> dict[str, Any]:
    words = found["rest"].split()
    value: dict[str, Any] = {"ifindex": int(found["index"]), "ifname": found["name"]}
    if words and words[0].startswith("<"):
        value["flags"] = words[0].strip("<>").split(",")
    pairs = dict(pairwise(words))
    value |= {key: pairs[key] for key in ("master", "state") if key in pairs}
    value["mtu"] = int(pairs["mtu"]) if pairs.get("mtu", "").isdigit() else 1500
    if (of := found["of"]) is not None:
        value |= {"link_index": int(of[2:])} if of[:2] == "if" and of[2:].isdigit() else {"link": of}
    return value


def _add_to(link: Item, line: str) -> None:
    """Add what a line below a link says; lines that only details are in are passed over."""
    if (found := _ADDRESS.match(line)) is not None:
        scope = _SCOPE.search(found["rest"])
        address = {"family": found["family"], "local": found["local"], "scope": scope[1] if scope else "global"}
        address["prefixlen"] = int(found["length"]) if found["length"] else 128 if found["family"] == "inet6" else 32
        if found["peer"]:
            address["address"] = found["peer"]
        link.value["addr_info"].append(address)
    elif line.startswith("link/"):
        kind, _, rest = line.removeprefix("link/").partition(" ")
        link.value.update(link_type=kind, address=rest.split(" ")[0])
        if " link-netnsid " in line:
            link.value["link_netnsid"] = 0
    elif line.startswith("altname "):
        link.value.setdefault("altnames", []).append(line.split()[1])
    elif line.startswith(("prog/xdp", "xdp")):
        link.value["xdp"] = {}
    elif (kind_of := _KIND.fullmatch(line)) is not None and "linkinfo" not in link.value:
        link.value["linkinfo"] = {"info_kind": kind_of[1]}
    elif line.startswith("bridge_slave"):
        link.value.setdefault("linkinfo", {})["info_slave_data"] = {
            "hairpin": "hairpin on" in line,
            "isolated": "isolated on" in line,
        }


def routes_in_text(section: Section) -> Iterator[Item]:
    """Yield the routes that `ip route` prints without JSON, with the keys that JSON has."""
    last: Item | None = None
    for number, line in enumerate(section.lines):
        words = line.split()
        if not words:
            continue
        if words[0] == "nexthop" and last is not None:
            last.value.setdefault("nexthops", []).append(_route_words(words[1:]))
            continue
        kind = words.pop(0) if words[0] in _ROUTE_TYPES else "unicast"
        if not words or line[:1].isspace() or not re.match(r"default$|[0-9a-fA-F.:]+(/\d+)?$", words[0]):
            _not_understood(section, number)
        last = Item(section, number, {"type": kind, "dst": words[0], **_route_words(words[1:])})
        yield last


def _route_words(words: list[str]) -> dict[str, Any]:
    keys = {"via": "gateway", "dev": "dev", "table": "table", "proto": "protocol", "scope": "scope"}
    keys |= {"src": "prefsrc", "metric": "metric"}
    value: dict[str, Any] = {"flags": [word for word in words if word in ("onlink", "linkdown", "dead")]}
    pairs = [word for word in words if word not in value["flags"]]
    for key, word in pairwise(pairs):
        if key in keys:
            value[keys[key]] = int(word) if key == "metric" and word.isdigit() else word
    if value.get("gateway") in ("inet", "inet6"):  # `via inet6 fe80::1`
        value["gateway"] = pairs[pairs.index("via") + 2]
    return value


def rules_in_text(section: Section) -> Iterator[Item]:
    """Yield the rules that `ip rule` prints without JSON, with the keys that JSON has."""
    for number, line in enumerate(section.lines):
        if not line.strip():
            continue
        found = _RULE.fullmatch(line)
        if found is None:
            _not_understood(section, number)
        yield Item(section, number, {"priority": int(found["priority"]), **_rule_words(found["rest"].split())})


def _rule_words(words: list[str]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if words[:1] == ["not"]:
        value["not"] = None
    names = {"from": "src", "to": "dst", "iif": "iif", "oif": "oif", "ipproto": "ipproto", "lookup": "table"}
    for key, word in pairwise(words):
        if key in ("from", "to"):
            value[names[key]], _, length = word.partition("/")
            value |= {f"{names[key]}len": int(length)} if length.isdigit() else {}
        elif key in names:
            value[names[key]] = word
        elif key == "fwmark":
            value["fwmark"], _, mask = word.partition("/")
            value |= {"fwmask": mask} if mask else {}
        elif key in ("sport", "dport"):
            start, _, end = word.partition("-")
            value |= {f"{key}_start": start, f"{key}_end": end} if end else {key: start}
        elif key == "suppress_prefixlength" and word.isdigit():
            value["suppress_prefixlen"] = int(word)
        elif key in ("tos", "uidrange", "l3mdev"):
            value[key] = word
    if words and (action := words[-1] if words[-1] in _RULE_ACTIONS else ""):
        value["action"] = action
    return value


def neighbours_in_text(section: Section) -> Iterator[Item]:
    """Yield the neighbours that `ip neigh` prints without JSON, with the keys that JSON has."""
    for number, line in enumerate(section.lines):
        words = line.split()
        if words:
            found: dict[str, Any] = {"dst": words[0], "state": words[-1:]}
            found |= {key: word for key, word in pairwise(words[1:]) if key in ("dev", "lladdr")}
            yield Item(section, number, found)
