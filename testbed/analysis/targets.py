"""What the targets of iptables' rules do, as values (iptables-extensions(8), net/netfilter/xt_*.c)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection
from ipaddress import ip_network

from testbed.analysis import numbers
from testbed.analysis.rules import (
    Action,
    Add,
    Assign,
    Copy,
    Decide,
    Jump,
    Manip,
    Note,
    Notrack,
    Return,
    To,
    Translate,
    Unmodelled,
    Verdict,
)
from testbed.rules.clauses import Target
from testbed.rules.values import number

Options = dict[str, str]

_FULL = 0xFFFFFFFF
_NOTES = {"LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "LED", "IDLETIMER", "RATEEST", "SET", "TEE", "CLASSIFY", "ACCT"}
_NOTES |= {"SECMARK", "CONNSECMARK", "HMARK", "CHECKSUM", "TCPMSS"}
_DEFAULT_ANSWER = {4: "icmp-port-unreachable", 6: "icmp6-port-unreachable"}
_ANSWERS = {  # the short names that iptables and ip6tables take too
    **{f"{kind}-unreach": f"icmp-{kind}-unreachable" for kind in ("net", "host", "proto", "port")},
    "net-unreach": "icmp-net-unreachable",
    "host-prohib": "icmp-host-prohibited",
    "tcp-rst": "tcp-reset",
    "admin-prohib": "icmp-admin-prohibited",
}
_TOS_NAMES = {"minimize-delay": 0x10, "maximize-throughput": 8, "maximize-reliability": 4, "minimize-cost": 2}


def actions(target: Target | None, version: int, chains: Collection[str]) -> tuple[Action, ...]:
    """What a rule does with a packet that it matches; nothing where it only counts. `chains` are those of its table."""
    if target is None:
        return ()
    if target.name in chains:
        return (Jump(target.name, target.verb == "goto"),)
    simple = _SIMPLE.get(target.name)
    if simple is not None:
        return (simple,)
    made = _MADE.get(target.name)
    options = _options(target)
    if made is not None:
        found = made(options, version)
        return found if found is not None else (Unmodelled(target.text),)
    if target.name in _NOTES:
        return (Note(target.text),)
    return (Unmodelled(target.text),)


def _options(target: Target) -> Options:
    """The options of a target with their values."""
    found: Options = {}
    latest = ""
    for word in shlex.split(target.text)[1:]:
        if word.startswith("--"):
            latest = word
            found[latest] = ""
        elif latest:
            found[latest] = f"{found[latest]} {word}".strip()
    return found


def _reject(options: Options, version: int) -> tuple[Action, ...]:
    answer = options.get("--reject-with", _DEFAULT_ANSWER[version])
    return (Decide(Verdict.REJECT, _ANSWERS.get(answer, answer) if version == 4 else answer),)


def _translated(manip: Manip, option: str) -> Callable[[Options, int], tuple[Action, ...] | None]:
    def make(options: Options, _version: int) -> tuple[Action, ...] | None:
        return translation(manip, options.get(option, ""), _is_random(options))

    return make


def translation(manip: Manip, text: str, random: bool) -> tuple[Action, ...] | None:
    """A translation to `ADDRESS[-ADDRESS][:PORT[-PORT]]`, IPv6's addresses in brackets where a port follows."""
    addresses, ports = _apart(text)
    span = numbers.span(ports.split("/")[0], "-") if ports else None
    pair = numbers.address_range(addresses.replace("[", "").replace("]", "")) if addresses else (None, None)
    if pair is None or (ports and span is None):
        return None
    return (Translate(manip, To.GIVEN, pair[0], pair[1], span, random=random or "/" in ports),)


def _apart(text: str) -> tuple[str, str]:
    """Addresses and ports."""
    if text.startswith("["):
        addresses, _, ports = text.partition("]:")
        return addresses, ports
    if text.count(":") > 1:
        return text, ""
    addresses, _, ports = text.partition(":")
    return addresses, ports


def _own(manip: Manip) -> Callable[[Options, int], tuple[Action, ...] | None]:
    def make(options: Options, _version: int) -> tuple[Action, ...] | None:
        ports = options.get("--to-ports", "")
        span = numbers.span(ports, "-") if ports else None
        if ports and span is None:
            return None
        return (Translate(manip, To.OWN, ports=span, random=_is_random(options)),)

    return make


def _network(options: Options, _version: int) -> tuple[Action, ...] | None:
    try:
        return (Translate(Manip.DESTINATION, To.NETWORK, network=ip_network(options.get("--to", ""))),)
    except ValueError:
        return None


def _is_random(options: Options) -> bool:
    return any(option in options for option in ("--random", "--random-fully"))


def _mark(field: str) -> Callable[[Options, int], tuple[Action, ...] | None]:
    def make(options: Options, _version: int) -> tuple[Action, ...] | None:
        for option in ("--set-xmark", "--set-mark", "--set-dscp"):
            if option in options:
                return _set_mark(field, option, options[option])
        for option, sign in (("--and-mark", "and"), ("--or-mark", "or"), ("--xor-mark", "xor")):
            value = number(options.get(option, ""))
            if value is not None:
                return (_combined(field, sign, value),)
        return _copied(options) if field == "connection_mark" else None

    return make


def _set_mark(field: str, option: str, text: str) -> tuple[Action, ...] | None:
    known = numbers.masked(text, 32)
    if known is None:
        return None
    value, mask = known
    if option == "--set-mark":  # what is given is or'ed (mark_tg_xlate, xt_MARK.c): bits outside the mask too
        mask |= value
    return (Assign(field, value, mask, flip=True),)


def _combined(field: str, sign: str, value: int) -> Assign:
    return {
        "and": Assign(field, 0, ~value & _FULL, flip=True),
        "or": Assign(field, value, value, flip=True),
        "xor": Assign(field, value, 0, flip=True),
    }[sign]


def _copied(options: Options) -> tuple[Action, ...] | None:
    masks = [options.get(name, "0xffffffff") for name in ("--nfmask", "--ctmask", "--mask")]
    known = [number(mask) for mask in masks]
    if None in known or known[0] != known[1]:
        return None
    mask = (known[0] or 0) & (known[2] or 0)
    if "--save-mark" in options:
        return (Copy("mark", "connection_mark", mask),)
    return (Copy("connection_mark", "mark", mask),) if "--restore-mark" in options else None


def _tracking(options: Options, _version: int) -> tuple[Action, ...] | None:
    if "--notrack" in options:
        return (Notrack(),)
    return (Note("CT " + " ".join(f"{option} {value}".strip() for option, value in options.items())),)


def _ttl(prefix: str) -> Callable[[Options, int], tuple[Action, ...] | None]:
    def make(options: Options, _version: int) -> tuple[Action, ...] | None:
        for option, sign in ((f"--{prefix}-set", 0), (f"--{prefix}-inc", 1), (f"--{prefix}-dec", -1)):
            value = number(options.get(option, ""))
            if value is not None:
                return (Add("ttl", sign * value),) if sign else (Assign("ttl", value, 0xFF),)
        return None

    return make


def _code_point(options: Options, _version: int) -> tuple[Action, ...] | None:
    value = numbers.code_point(options.get("--set-dscp", options.get("--set-dscp-class", "")))
    return None if value is None else (Assign("tos", value << 2, 0xFC),)


def _service(options: Options, _version: int) -> tuple[Action, ...] | None:
    if "--set-tos" not in options:
        return None
    text = options["--set-tos"].lower()
    if text in _TOS_NAMES or text == "normal-service":
        return (Assign("tos", _TOS_NAMES.get(text, 0), 0x3F, flip=True),)
    known = numbers.masked(text, 8)
    return None if known is None else (Assign("tos", known[0], known[1], flip=True),)


_SIMPLE: dict[str, Action] = {
    "ACCEPT": Decide(Verdict.ACCEPT),
    "DROP": Decide(Verdict.DROP),
    "RETURN": Return(),
    "NOTRACK": Notrack(),
    "SYNPROXY": Decide(Verdict.ANSWER, "SYNPROXY"),
}
_MADE: dict[str, Callable[[Options, int], tuple[Action, ...] | None]] = {
    "REJECT": _reject,
    "DNAT": _translated(Manip.DESTINATION, "--to-destination"),
    "SNAT": _translated(Manip.SOURCE, "--to-source"),
    "MASQUERADE": _own(Manip.SOURCE),
    "REDIRECT": _own(Manip.DESTINATION),
    "NETMAP": _network,
    "MARK": _mark("mark"),
    "CONNMARK": _mark("connection_mark"),
    "CT": _tracking,
    "TTL": _ttl("ttl"),
    "HL": _ttl("hl"),
    "DSCP": _code_point,
    "TOS": _service,
    "NFQUEUE": lambda options, _: (Decide(Verdict.ACCEPT if "--queue-bypass" in options else Verdict.DROP),),
}
_SIMPLE["QUEUE"] = Decide(Verdict.DROP)  # no program reads the queue
