"""A capture with other public addresses and names, the same ones each time by a map that the user keeps.

Public addresses are replaced prefix by prefix, so that an address stays in the subnets that it is in, and none becomes
a private one. The last byte of IPv4 and what stands behind the subnet of IPv6 stay. Private and documentation addresses
stay; so do hardware addresses, names of interfaces, chains and sets, and ports.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from random import Random

from testbed.errors import CaptureError

_FOUR = r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)"
_SIX = r"(?<![\w.:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])"
_WORD = re.compile(rf"(?P<address>{_FOUR}|{_SIX})(?:/(?P<length>\d{{1,3}}))?")
_SPECIAL4 = [
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        "224.0.0.0/3",
    )
]  # RFC 6890 and multicast
_PUBLIC6 = ip_network("2000::/3")
_DOCUMENTATION6 = ip_network("2001:db8::/32")
_NAME_KEYS = "Name|name|Project|Service|Mode"
_TEXT = r'"(?:[^"\\]|\\.)*"'
_COMMENT = re.compile(rf"(--comment )({_TEXT}|\S+)|((?<![-\w])comment )({_TEXT})")
_HOST = re.compile(r"^( host )(?!net:)(\S+)$", re.MULTILINE)
_JSON_NAME = re.compile(rf'("(?:{_NAME_KEYS})":\s*)"((?:[^"\\]|\\.)*)"')
_NETWORKS = re.compile(r'(\{|,)"([^"\\]+)":\{"(?:Aliases|IPAMConfig|EndpointID|NetworkID|DriverOpts|MacAddress|Links)"')
_KEPT_NAMES = ("bridge", "host", "none", "default", "", "docker_gwbridge", "ingress", "podman")
_ALIASES = re.compile(r'("(?:Aliases|DNSNames)":)(\[[^\]]*\])')


@dataclass
class Anonymizer:
    """Maps addresses and names; `secret` decides how, `names` and `addresses` are what was mapped so far."""

    secret: str
    names: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    @classmethod
    def new(cls) -> Anonymizer:
        return cls(secrets.token_hex(16))

    @classmethod
    def read(cls, text: str, source: str) -> Anonymizer:
        """Return the map of a file; raises CaptureError for what is none."""
        try:
            found = json.loads(text)
            names, addresses = dict(found["names"]), dict(found["addresses"])
            return cls(str(found["secret"]), names, addresses)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CaptureError(f"{source} is no map of names and addresses.", "Name a new file for one.") from error

    @property
    def text(self) -> str:
        """Return the map as text."""
        found = {"secret": self.secret, "names": self.names, "addresses": self.addresses}
        return json.dumps(found, indent=1, ensure_ascii=False) + "\n"

    def capture(self, text: str) -> str:
        """Return a capture's text with other addresses and names."""
        text = _HOST.sub(lambda found: f"{found[1]}{self._name(found[2], 'host')}", text)
        text = _JSON_NAME.sub(lambda found: f'{found[1]}"{self._named(found[2])}"', text)
        text = _NETWORKS.sub(
            lambda found: found[0].replace(f'"{found[2]}"', f'"{self._name(found[2], "name")}"', 1), text
        )
        text = _ALIASES.sub(lambda found: found[1] + self._aliases(found[2]), text)
        text = _COMMENT.sub(self._comment, text)
        return _WORD.sub(lambda found: self._address(found["address"], found["length"]), text)

    def _comment(self, found: re.Match[str]) -> str:
        option, text = (found[1], found[2]) if found[1] else (found[3], found[4])
        return f'{option}"{self._name(text.strip(chr(34)), "comment")}"'

    def _named(self, name: str) -> str:
        """Return another name; a slash before it and the words of a mode before a colon stay."""
        mode, colon, of = name.partition(":")
        if colon and mode in ("container", "ns"):
            return name if re.fullmatch(r"[0-9a-f]{12,64}", of) else f"{mode}:{self._name(of, 'name')}"
        slash = "/" if name.startswith("/") else ""
        return f"{slash}{self._name(name.removeprefix('/'), 'name')}"

    def _aliases(self, text: str) -> str:
        try:
            return json.dumps([self._name(str(name), "name") for name in json.loads(text)])
        except ValueError:
            return "null"

    def _name(self, name: str, kind: str) -> str:
        if name in _KEPT_NAMES:
            return name
        if name not in self.names:
            self.names[name] = f"{kind}-{len(self.names) + 1}"
        return self.names[name]

    def _address(self, word: str, length: str | None) -> str:
        """Return a word with another address; what was a network's address without bits of hosts is one again."""
        behind = f"/{length}" if length is not None else ""
        try:
            address = ip_address(word)
        except ValueError:
            return f"{word}{behind}"
        if not _is_public(address):
            return f"{word}{behind}"
        if word not in self.addresses:
            mapped = self._four(address) if isinstance(address, IPv4Address) else self._six(address)
            self.addresses[word] = str(mapped)
        found = self.addresses[word]
        if length is not None and int(length) <= address.max_prefixlen and _is_network(f"{word}{behind}"):
            found = str(ip_network(f"{found}{behind}", strict=False).network_address)
        return f"{found}{behind}"

    def _four(self, address: IPv4Address) -> IPv4Address:
        """Map bytes as long as special networks are beside, then bit by bit up to the last byte, which stays."""
        parts = [*address.packed]
        mapped: list[int] = []
        for place in range(3):
            siblings = _public_siblings(tuple(parts[:place]))
            if parts[place] in siblings:
                shuffled = [*siblings]
                Random(f"{self.secret}:{parts[:place]}").shuffle(shuffled)
                mapped.append(shuffled[siblings.index(parts[place])])
                rest = "".join(f"{one:08b}" for one in parts[place + 1 : 3])
                bits = "".join(self._bits(f"4:{parts[: place + 1]}:", rest))
                mapped += [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
                break
            mapped.append(parts[place])
        return IPv4Address(bytes((*mapped, parts[3])))

    def _six(self, address: IPv6Address) -> IPv6Address:
        """Map the bits behind 2000::/3 up to the subnet, bit by bit behind all before; the rest stays."""
        bits = f"{int(address):0128b}"
        head = "".join(self._bits("6:", bits[3:64]))
        return IPv6Address(int(bits[:3] + head + bits[64:], 2))

    def _bits(self, before: str, bits: str) -> Iterator[str]:
        for at, bit in enumerate(bits):
            flip = hashlib.sha256(f"{self.secret}:{before}{bits[:at]}".encode()).digest()[0] & 1
            yield str(int(bit) ^ flip)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL4)
    return address in _PUBLIC6 and address not in _DOCUMENTATION6


@lru_cache(maxsize=4096)
def _public_siblings(before: tuple[int, ...]) -> tuple[int, ...]:
    """Return the next bytes behind these for which no special network is beside."""
    return tuple(one for one in range(256) if _all_public((*before, one)))


def _all_public(parts: tuple[int, ...]) -> bool:
    padded = (*parts, *(0 for _ in range(4 - len(parts))))
    network = IPv4Network((bytes(padded), 8 * len(parts)))
    return not any(network.overlaps(special) for special in _SPECIAL4)


def _is_network(text: str) -> bool:
    try:
        return bool(ip_network(text))
    except ValueError:
        return False
