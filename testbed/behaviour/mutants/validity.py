"""Rules that iptables and the kernel refuse, so that they make no mutants; each message here is one of theirs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from testbed.rules.clauses import Clause, Target, clauses, target_of
from testbed.rules.values import protocol_number

_WITH_PORTS = ("tcp", "udp", "udplite", "sctp", "dccp")
_PROTOCOLS = {  # the -p that a match requires: extensions/libxt_*.c, libipt_icmp.c, and the kernel's checks
    **{protocol: (protocol,) for protocol in _WITH_PORTS},
    "icmp": ("icmp",),
    "icmp6": ("ipv6-icmp",),
    "multiport": _WITH_PORTS,
}
_NOT_THERE = {"-i": ("OUTPUT", "POSTROUTING"), "-o": ("PREROUTING", "INPUT")}  # iptables/xshared.c, "Can't use -i with"
_HOOKS = {  # .hooks of the targets in net/netfilter/xt_*.c
    "DNAT": {"PREROUTING", "OUTPUT"},
    "REDIRECT": {"PREROUTING", "OUTPUT"},
    "SNAT": {"POSTROUTING", "INPUT"},
    "MASQUERADE": {"POSTROUTING"},
    "REJECT": {"INPUT", "FORWARD", "OUTPUT"},
    "TCPMSS": {"FORWARD", "OUTPUT", "POSTROUTING"},
    "TPROXY": {"PREROUTING"},
}
_HOOKS_OF_MATCHES = {  # .hooks of the matches
    "mac": {"PREROUTING", "INPUT", "FORWARD"},
    "owner": {"OUTPUT", "POSTROUTING"},
    "rpfilter": {"PREROUTING"},
    "socket": {"PREROUTING", "INPUT"},
}


def accepted(spec: str, chain: str, table: str, hooks: Iterable[str]) -> bool:
    """Return whether a rule can be loaded in a chain that packets reach from these hooks."""
    asked, target, reached = clauses(spec), target_of(spec), set(hooks)
    if any(chain in _NOT_THERE.get(clause.option, ()) for clause in asked):
        return False
    if any(not reached <= _HOOKS_OF_MATCHES.get(clause.module, reached) for clause in asked):
        return False
    return _protocol_fits(asked) and _complete(asked) and (target is None or _possible(target, asked, table, reached))


def protocol_of(asked: Iterable[Clause]) -> str:
    """Return the protocol of a rule; '' for several."""
    return next((c.values[0] for c in asked if c.option == "-p" and c.values and not c.negated), "")


def needs_protocol(asked: Iterable[Clause]) -> list[Clause]:
    """Return the clauses that require the protocol."""
    return [clause for clause in asked if clause.module in _PROTOCOLS]


def _protocol_fits(asked: Iterable[Clause]) -> bool:
    """Return False for `unknown option "--dport"`, or `multiport needs -p tcp, -p udp, ...`."""
    protocol = protocol_number(protocol_of(asked))
    wanted = [_PROTOCOLS[clause.module] for clause in needs_protocol(asked)]
    return all(protocol in map(protocol_number, names) for names in wanted)


def _complete(asked: Iterable[Clause]) -> bool:
    """Return False for `addrtype match: you must specify --src-type or --dst-type`.

    An addrtype match has at most one limit to an interface.
    """
    options = [clause.option for clause in asked if clause.module == "addrtype"]
    return not options or "--src-type" in options or "--dst-type" in options


def _possible(target: Target, asked: Iterable[Clause], table: str, hooks: set[str]) -> bool:
    """Return whether a target is valid in that table, from these hooks, for that protocol."""
    words, protocol = target.text.split(), protocol_of(asked)
    if target.name == "DROP" and table == "nat":
        return False  # The "nat" table is not intended for filtering, the use of DROP is therefore inhibited.
    if not hooks <= _HOOKS.get(target.name, hooks):
        return False
    if target.name in ("DNAT", "SNAT", "REDIRECT", "MASQUERADE") and _names_port(words):
        return protocol in _WITH_PORTS  # Need TCP, UDP, SCTP or DCCP with port specification
    if "tcp-reset" in words:
        return protocol == "tcp"
    return target.name != "TCPMSS" or any(_asks_for_syn(clause) for clause in asked)


def _asks_for_syn(clause: Clause) -> bool:
    """Return False for `Only works on TCP SYN packets`."""
    flags = clause.values[1].split(",") if clause.option == "--tcp-flags" and len(clause.values) > 1 else []
    return not clause.negated and (clause.option == "--syn" or "SYN" in flags)


def _names_port(words: list[str]) -> bool:
    if "--to-ports" in words:
        return True
    to = next((v for o, v in pairwise(words) if o in ("--to-destination", "--to-source")), "")
    return "]:" in to or (to.count(":") == 1)
