"""Edits of a rule's clauses: a clause removed, negated, or with another value."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from testbed.behaviour.mutants import rewrite
from testbed.behaviour.mutants.edits import Rewritten
from testbed.behaviour.mutants.site import Site
from testbed.behaviour.mutants.validity import needs_protocol
from testbed.rules.clauses import Clause
from testbed.rules.values import TCP_FLAGS, number

Made = tuple[str, Rewritten]  # operator, edit
_NEGATABLE = {
    *("-s", "-d", "-i", "-o", "-p", "-f", "--sport", "--dport", "--sports", "--dports", "--ports", "--tcp-flags"),
    *(
        "--syn",
        "--ctstate",
        "--state",
        "--ctstatus",
        "--dst-type",
        "--src-type",
        "--mark",
        "--match-set",
        "--icmp-type",
    ),
    *(
        "--icmpv6-type",
        "--src-range",
        "--dst-range",
        "--mac-source",
        "--uid-owner",
        "--gid-owner",
        "--length",
    ),
}
# Options that iptables requires for their match, so that the whole match goes (extensions/libxt_*.c).
_REQUIRED = {
    "recent": {"--set", "--rcheck", "--update", "--remove"},
    "hashlimit": {"--hashlimit-upto", "--hashlimit-above", "--hashlimit-name"},
    "quota": {"--quota"},
    "statistic": {"--mode", "--every", "--probability"},
    "connlimit": {"--connlimit-upto", "--connlimit-above"},
    "connbytes": {"--connbytes", "--connbytes-dir", "--connbytes-mode"},
}
_LAST_PORT = 65535
_STATES = ("--ctstate", "--state")
_ECHO = {"--icmp-type": (("8", "echo-request", "ping"), "0"), "--icmpv6-type": (("128", "echo-request"), "129")}


def made(site: Site) -> Iterator[Made]:
    """Yield the default edits of clauses."""
    for clause in site.clauses:
        yield from _dropped(site, clause)
        yield from _negated(site, clause)
        for operator, values in _other_values(site, clause):
            spec = rewrite.with_values(site.spec, clause, *values)
            yield operator, Rewritten(site.chain, (spec,))
    yield from _protocols(site)
    yield from _swapped_interfaces(site)


def _dropped(site: Site, clause: Clause) -> Iterator[Made]:
    gone = [clause]
    if clause.option == "-p":
        gone += needs_protocol(site.clauses)
    if clause.option in ("--src-type", "--dst-type"):
        others = [other for other in site.clauses if other.module == "addrtype" and other is not clause]
        gone += others if all(other.option.startswith("--limit") for other in others) else []
    if clause.option in _REQUIRED.get(clause.module, ()):
        match = [other for other in site.clauses if other.module == clause.module]
        if clause is not next(other for other in match if other.option in _REQUIRED[clause.module]):
            return
        gone = match
    spec = rewrite.without(site.spec, *gone)
    operator = "protocol" if clause.option == "-p" else "drop-clause"
    yield operator, Rewritten(site.chain, (spec,))


def _negated(site: Site, clause: Clause) -> Iterator[Made]:
    if clause.option in _NEGATABLE and not any(
        "," in value for value in clause.values[:1] if clause.option in ("-s", "-d")
    ):
        spec = rewrite.opposite(site.spec, clause)
        yield "negate", Rewritten(site.chain, (spec,))


def _other_values(site: Site, clause: Clause) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield operators with other values of a clause."""
    value = clause.values[0] if clause.values else ""
    if clause.option in ("-i", "-o"):
        yield from (("interface", (name,)) for name in _interfaces(site, value))
    elif clause.option in ("--sport", "--dport"):
        yield from _ports(value)
    elif clause.option in ("--sports", "--dports", "--ports"):
        yield from _several_ports(value)
    elif clause.option in ("-s", "-d"):
        yield from (("prefix", (network,)) for network in _networks(value))
    elif clause.option in ("--src-range", "--dst-range"):
        yield from (("range", (addresses,)) for addresses in _address_ranges(value))
    elif clause.option in _STATES:
        yield from (("state", (states,)) for states in _states(value))


def made_strong(site: Site) -> Iterator[Made]:
    """Yield the edits of rarer clauses: TCP flags, ICMP types, marks, sets, limits."""
    for clause in site.clauses:
        for operator, values in _rarer_values(clause):
            spec = rewrite.with_values(site.spec, clause, *values)
            yield operator, Rewritten(site.chain, (spec,))
        if clause.option == "--syn":
            spec = rewrite.with_clause(site.spec, clause, f"{'! ' * clause.negated}--tcp-flags FIN,SYN,RST,ACK SYN,ACK")
            yield "flags", Rewritten(site.chain, (spec,))


def _rarer_values(clause: Clause) -> Iterator[tuple[str, tuple[str, ...]]]:
    values, value = clause.values, clause.values[0] if clause.values else ""
    if clause.option == "--tcp-flags" and len(values) == 2:
        yield from (("flags", (value, flags)) for flags in _flags(*values))
    elif clause.option in ("--icmp-type", "--icmpv6-type"):
        yield "icmp", (_other_type(clause, value),)
    elif clause.option == "--mark":
        yield from (("mark", (mark,)) for mark in _marks(value))
    elif clause.option == "--match-set" and len(values) == 2:
        turned = ",".join({"src": "dst", "dst": "src"}.get(way, way) for way in values[1].split(","))
        yield "set", (value, turned)
    elif clause.option == "--limit":
        rate, _, unit = value.partition("/")
        if rate.isdigit():
            yield "limit", (f"{int(rate) * 10}/{unit}",)
    elif clause.option == "--limit-burst" and value.isdigit():
        yield from (("limit", (str(burst),)) for burst in (int(value) - 1, int(value) + 1) if burst > 0)


def _flags(mask: str, flags: str) -> Iterator[str]:
    """Yield the flags with each flag of the mask inverted."""
    asked, wanted = _listed_flags(mask), _listed_flags(flags)
    for flag in asked:
        yield ",".join(each for each in asked if (each in wanted) != (each == flag)) or "NONE"


def _listed_flags(names: str) -> list[str]:
    return {"ALL": list(TCP_FLAGS)[:6], "NONE": []}.get(names, names.split(","))


def _other_type(clause: Clause, value: str) -> str:
    """Return a reply for a request, a request for any other type."""
    requests, answer = _ECHO[clause.option]
    return answer if value in requests else requests[0]


def _marks(value: str) -> Iterator[str]:
    """Yield the next mark, and the same mark with half of the mask."""
    mark, several, mask = value.partition("/")
    known, bits = number(mark), number(mask or "0xffffffff")
    if known is None or bits is None:
        return
    yield f"{known ^ 1:#x}{several}{mask}"
    yield f"{known & bits & 0xFFFF:#x}/{bits & 0xFFFF if bits != 0xFFFF else 0xFF:#x}"


def _address_ranges(value: str) -> Iterator[str]:
    """Yield ranges with the first or the last address moved by one."""
    first, _, last = value.partition("-")
    try:
        low, high = ip_address(first), ip_address(last or first)
        ends = [(low - 1, high), (low + 1, high), (low, high - 1), (low, high + 1)]
    except ValueError:
        return
    yield from (f"{start}-{end}" for start, end in ends if int(start) <= int(end))


def _interfaces(site: Site, name: str) -> list[str]:
    """Return the interface that the rules name after this one, except the loopback; empty if they name no other."""
    named = list(dict.fromkeys([*site.others("-i"), *site.others("-o")]))
    after = named.index(name) + 1
    return [other for other in named[after:] + named[:after] if other not in (name, "lo")][:1]


def _ports(value: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    low, several, high = value.partition(":")
    if not several:
        yield from (("port", (str(port),)) for port in _beside(low))
        return
    for first in _beside(low or "0"):
        if first <= int(high or _LAST_PORT):
            yield "range", (f"{first}:{high}",)
    for last in _beside(high or str(_LAST_PORT)):
        if last >= int(low or 0):
            yield "range", (f"{low}:{last}",)


def _beside(port: str) -> list[int]:
    """Return the ports before and after a port; none for a service name."""
    return [near for near in (int(port) - 1, int(port) + 1) if 0 <= near <= _LAST_PORT] if port.isdigit() else []


def _several_ports(value: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the list without one element, or with one element changed."""
    listed = value.split(",")
    for place, element in enumerate(listed):
        before, behind = listed[:place], listed[place + 1 :]
        if before or behind:
            yield "port", (",".join([*before, *behind]),)
        for operator, (changed,) in _ports(element):
            yield operator, (",".join([*before, changed, *behind]),)


def _networks(value: str) -> Iterator[str]:
    """Yield the prefix one bit shorter, one bit longer, and the next network; none for a value that is no prefix."""
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        return
    if network.prefixlen == 0:
        return
    yield str(network.supernet())
    if network.prefixlen < network.max_prefixlen:
        yield str(next(network.subnets()))
    beside = int(network.network_address) ^ (1 << network.max_prefixlen - network.prefixlen)
    address = ip_address(beside) if network.version == 4 or beside > 0xFFFFFFFF else None
    if address is not None:
        yield f"{address}/{network.prefixlen}"


def _states(value: str) -> Iterator[str]:
    """Yield the list with one state less; with NEW or INVALID added; another state instead of a single one."""
    states = value.split(",")
    if len(states) > 1:
        yield from (",".join(state for state in states if state != gone) for gone in states)
    yield from (",".join([*states, more]) for more in ("NEW", "INVALID") if more not in states)
    if len(states) == 1:
        yield from (other for other in ("NEW", "ESTABLISHED", "INVALID") if other not in states)


def _protocols(site: Site) -> Iterator[Made]:
    """Yield TCP for UDP and vice versa, if all other clauses of the rule are valid for both."""
    clause = site.clause("-p")
    other = {"tcp": "udp", "udp": "tcp"}.get(clause.values[0]) if clause is not None and clause.values else None
    dependent = needs_protocol(site.clauses)
    if (
        clause is None
        or other is None
        or any(c.option not in ("", "--sport", "--dport", "--sports", "--dports", "--ports") for c in dependent)
    ):
        return
    spec = rewrite.renamed(site.spec, clause, other)
    yield "protocol", Rewritten(site.chain, (spec,))


def _swapped_interfaces(site: Site) -> Iterator[Made]:
    """Yield the rule with input and output interface exchanged."""
    entering, leaving = site.clause("-i"), site.clause("-o")
    if entering is None and leaving is None:
        return
    spec = rewrite.crossed(site.spec, entering, leaving)
    yield "interface", Rewritten(site.chain, (spec,))
