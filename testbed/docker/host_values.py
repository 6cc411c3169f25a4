"""Values in the section `host` of a host file: addresses, hardware addresses, words with a fixed set of values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum
from ipaddress import ip_interface
from typing import TypeVar

from testbed.docker import naming
from testbed.docker.tree import Tree
from testbed.topology import MTU, AddressWithPrefix

V = TypeVar("V")
E = TypeVar("E", bound=Enum)

_LAST_INDEX = 0x7FFFFFFF
_MTUS = (68, 65535)  # ETH_MIN_MTU and ETH_MAX_MTU, include/uapi/linux/if_ether.h
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def addresses_of(tree: Tree) -> tuple[AddressWithPrefix, ...]:
    """Return the addresses with prefixes that a word or a list gives."""
    return tuple(each(tree, ip_interface)) if not tree.is_absent else ()


def each(tree: Tree, convert: Callable[[str], V]) -> Iterator[V]:
    """Convert each word; a word that cannot be converted is reported with its line."""
    parts = [tree] if isinstance(tree.value, str) else tree.items
    for part in parts:
        with part.blamed():
            yield convert(part.word)


def one_of(tree: Tree, key: str, kinds: type[E], otherwise: E) -> E:
    """Return the member of an enum that a key names."""
    known = [kind.value for kind in kinds]
    text = tree.text(key, str(otherwise.value))
    if text not in known:
        raise tree.child(key).error(f"{key} is {text}, which is not known.", f"Known are {', '.join(known)}.")
    return kinds(text)


def mac_of(tree: Tree, of: str) -> str:
    """Return the hardware address of a part, or one that follows from a text."""
    text = tree.text("mac", naming.local_mac(of)).lower()
    if not _MAC.fullmatch(text):
        raise tree.child("mac").error(f"{text} is no hardware address.", "Write it as 02:42:ac:11:00:02.")
    return text


def index_of(tree: Tree) -> int | None:
    """Return the interface index of a part, if it gives one."""
    return None if tree.child("index").is_absent else number_in(tree, "index", 0, 1, _LAST_INDEX)


def mtu_of(tree: Tree) -> int:
    """Return the MTU of a part, within the limits of a veth pair."""
    return number_in(tree, "mtu", MTU, *_MTUS)


def number_in(tree: Tree, key: str, otherwise: int, least: int, most: int) -> int:
    """Return the whole number of a key; raises TopologyError when it is out of range."""
    number = tree.number(key, otherwise)
    if not least <= number <= most:
        raise tree.child(key).error(f"{key} {number} is out of range.", f"Give a number from {least} to {most}.")
    return number
