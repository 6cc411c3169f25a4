"""Statements that a file for nft may not have: includes, commands that only print, host names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from testbed.errors import RulesError
from testbed.rules import files, forbidden

# As nft's scanner has it: a comment ends with its line, a string has no escapes and may have several lines.
_TOKEN = re.compile(r"#[^\n]*|\"[^\"]*\"|\\\n|[A-Za-z_.][\w/.-]*|[{};\n]|[^\S\n]+|.")
_ENDS_OF_STATEMENTS, _CONTINUED = ("\n", ";"), "\\\n"
_NO_CODE = re.compile(r"#[^\n]*|(?P<name>\"[\w.-]+\")|\"[^\"]*\"")
_PRINTS = ("monitor", "list", "get", "describe", "export", "import", "reset")
_VALUE = r"(?:(?:!=|==|ne|eq)\s*)?(\{[^}]*\}|\"[^\"]*\"|[^\s;{}]+)"
_ADDRESSED = re.compile(rf"\b(?:ip6?|arp)\s+[sd]addr\s+{_VALUE}")
_OTHERWISE = (  # other words may be here too: only a name with a dot is a host name
    re.compile(rf"\b(?:dnat|snat|dup|fwd|tproxy)\s+(?:ip6?\s+)?(?:prefix\s+)?to\s+{_VALUE}"),
    re.compile(r"\btype\s+ipv[46]_addr\s*[;\n][^{}]*?\belements\s*=\s*(\{[^}]*\})"),
    re.compile(r"\badd\s+element\s+[^{};\n]*(\{[^}]*\})"),
)
_DEFINED = re.compile(r"\b(?:re)?define\s+(\w+)\s*=\s*(\{[^}]*\}|\S+)")
_COMMENT = re.compile(r"\bcomment\s+\"[^\"]*\"")
_WORD = re.compile(r"[^\s,{}\"]+")
_NO_HOSTS = ("map", "vmap", "set", "and", "or", "xor", "timeout", "expires", "counter", "packets", "bytes")
_DURATION = re.compile(r"(?:\d+(?:ms|[dhms]))+")


def require_safe(text: str, source: str) -> None:
    """Raise RulesError, with the line, for a forbidden statement in a rule file in nft's syntax."""
    if "\0" in text:
        raise _error(source, text, text.index("\0"), "a NUL byte is no text", "Give what `nft list ruleset` prints.")
    for place, depth_zero, word in _statements(text):
        if word == "include":
            why = "a rule file includes no others"
            raise _error(source, text, place, why, "Put the included text in its place, or give `nft list ruleset`.")
        if depth_zero and word in _PRINTS:
            why = f"`{word}` sets no rules"
            raise _error(source, text, place, why, "Leave that line out.")
    for place, name in _hosts(text):
        why = f"{name} is the name of a host, and names are not looked up"
        raise _error(source, text, place, why, "Write its address instead.")


def _statements(text: str) -> Iterator[tuple[int, bool, str]]:
    """Yield each `include` anywhere, and the first word of each statement outside of braces."""
    if not any(word in text for word in ("include", *_PRINTS)):
        return
    depth, begins = 0, True
    for found in _TOKEN.finditer(text):
        word = found[0]
        if word in _ENDS_OF_STATEMENTS:
            begins = True
        elif word[0] != "#" and not word.isspace() and word != _CONTINUED:
            depth += {"{": 1, "}": -1}.get(word, 0)
            if word == "include" or (begins and depth == 0):
                yield found.start(), begins and depth == 0, word
            begins = False


def _hosts(text: str) -> Iterator[tuple[int, str]]:
    """Yield each host name in place of an address, with its position."""
    code = _NO_CODE.sub(lambda found: found[0] if found["name"] else " " * len(found[0]), text)
    defined: dict[str, str] = dict(_DEFINED.findall(code))
    for found in _ADDRESSED.finditer(code):
        yield from ((found.start(1), name) for name in _names(found[1], defined))
    for pattern in _OTHERWISE:
        for found in pattern.finditer(code):
            yield from ((found.start(1), name) for name in _names(found[1], defined) if "." in name)


def _names(value: str, defined: dict[str, str]) -> Iterator[str]:
    """Yield the host names in a value, in a set of values, and in the variables in them."""
    for word in _WORD.findall(_COMMENT.sub("", value)):
        name = re.split("[/:]", word)[0] if word.count(":") < 2 else ""  # no name but an IPv6 address
        if name.startswith("$"):
            yield from _names(defined.pop(name[1:], ""), defined)
        elif name not in _NO_HOSTS and forbidden.is_host(name) and not _DURATION.fullmatch(name):
            yield name


def _error(source: str, text: str, place: int, why: str, remedy: str) -> RulesError:
    number = text.count("\n", 0, place) + 1
    line = text.split("\n", number)[number - 1].strip()
    return RulesError(f"{source}, line {number}: {files.shown(line)!r} is not read: {why}.", remedy)
