"""Rule text that iptables-restore accepts and the testbed refuses: options for iptables itself, and host names.

An option such as -h ends iptables-restore at once, without an error and without the rules. -M names a program that
iptables runs as root. A host name needs DNS, which a bed lacks.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from testbed.rules.clauses import words

_SUSPECT = re.compile(r"(?:^|\s)-(?:[Vfbvnx46]*[MhV]|-(?:mo|h|v))")
_SHORT = re.compile(r"-[Vfbvnx46]*(?P<letter>[MhV])")
_LONG = {"--modprobe": "--mo", "--help": "--h", "--version": "--v"}  # option: shortest form that getopt accepts
_TEXT = ("--comment", "--log-prefix", "--nflog-prefix", "--ulog-prefix", "--string", "--hex-string")
_MEANS = {
    "M": "names a program that iptables would run",
    "h": "makes iptables print its help and load nothing",
    "V": "makes iptables print its version and load nothing",
    "--modprobe": "names a program that iptables would run",
    "--help": "makes iptables print its help and load nothing",
    "--version": "makes iptables print its version and load nothing",
}
_ADDRESSES = (
    *("-s", "-d", "--src", "--dst", "--source", "--destination", "--to-source", "--to-destination", "--gateway"),
    *("--on-ip", "--tunnel-src", "--tunnel-dst", "--vaddr", "--ctorigsrc", "--ctorigdst", "--ctreplsrc", "--ctrepldst"),
    *("--clusterip", "--hmark-src-prefix", "--to"),
)
_ADDRESS = re.compile(r"(?:^|\s)(?:-[sd]|--[a-z-]+)(?:\s+(?:!\s+)?|=)(?P<value>[^\s\"]*[A-Za-z_][^\s\"]*)")
_QUOTING = frozenset("\"'\\")
_NAME = re.compile(r"[\w.-]*[A-Za-z_][\w.-]*")
_SET_CREATED = re.compile(r"create (\S+) (\S+)")
_SET_ELEMENT = re.compile(r"add (\S+) (\S+)")


@lru_cache(maxsize=4096)
def in_rule(spec: str) -> str:
    """Return the reason why a rule is forbidden, also for an unclosed quote; empty if it is allowed."""
    if "\0" in spec or "\n" in spec:
        return "a NUL byte is no text" if "\0" in spec else "it has more than one line"
    if not _QUOTING.isdisjoint(spec):
        try:
            shlex.split(spec)
        except ValueError as error:
            return f"a quote is not closed ({error})"
    quoted = '"' in spec
    if (quoted or _SUSPECT.search(spec)) and (option := _for_iptables(words(spec))):
        return option
    if (quoted or _ADDRESS.search(spec)) and (name := _host(words(spec))):
        return f"{name} is the name of a host, and names are not looked up"
    return ""


def in_sets(lines: Sequence[str]) -> str:
    """Return the reason why a line of `ipset save` is forbidden, for the first such line; empty if all are allowed."""
    types: dict[str, str] = {}
    for line in lines:
        unquoted = re.sub(r'"[^"]*"', '""', line).split()
        if option := next((word for word in unquoted if word.startswith("-") and word not in ("-exist", "-!")), ""):
            return f"{line!r}: the option {option} is for ipset itself"
        if made := _SET_CREATED.match(line):
            types[made[1]] = made[2]
        elif (found := _SET_ELEMENT.match(line)) and (name := _name_in(found[2], types.get(found[1], ""))):
            return f"{line!r}: {name} is the name of a host, and names are not looked up"
    return ""


def is_host(value: str) -> bool:
    """Return whether an address is written as a name; IPv6 addresses have colons."""
    return _NAME.fullmatch(value) is not None


def _for_iptables(given: Sequence[str]) -> str:
    for before, word in pairwise(["", *given]):
        if before in _TEXT:
            continue
        if short := _SHORT.match(word):
            return f"{word} {_MEANS[short['letter']]}"
        option = word.partition("=")[0]
        for name, least in _LONG.items():
            if option.startswith(least) and name.startswith(option):
                return f"{word} {_MEANS[name]}"
    return ""


def _host(of_rule: Sequence[str]) -> str:
    given = [part for word in of_rule for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for place, option in enumerate(given):
        if option not in _ADDRESSES or (place and given[place - 1] in _TEXT):
            continue
        value = next((word for word in given[place + 1 : place + 3] if word != "!"), "")
        for part in value.split(","):
            name = part.partition("/")[0].partition(":")[0] if part.count(":") < 2 else ""
            if is_host(name) and not name.startswith("-"):
                return name
    return ""


def _name_in(element: str, kind: str) -> str:
    """Return the host name in an element of a set of that type, or ''."""
    parts = element.split(",")
    dimensions = kind.partition(":")[2].split(",")
    for part, dimension in zip(parts, dimensions, strict=False):
        name = part.partition("/")[0]
        if dimension in ("ip", "net") and is_host(name):
            return name
    return ""
