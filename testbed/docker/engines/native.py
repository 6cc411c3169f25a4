"""The rules of engine 29 with `"firewall-backend": "nftables"`: tables `docker-bridges` in nftables' own syntax.

Read off moby's listings of its daemon's rules (integration/network/bridge/nftablesdoc/generated, the same from 29.0.0
to 29.7.2), for IPv6 off what its own tests expect (daemon/libnetwork/drivers/bridge/internal/nftabler/testdata, as it
was when their IPv4 tables were those of 29). Each network has chains of its own, which maps of interface names lead to.
Nothing is written of the table `ip6 docker-bridges` on a host without IPv6 networks, where all its maps are empty,
unless `ip6tables` asks for it.

The priority of nat-OUTPUT is a number: newer nft prints it as `dstnat`, which nft 1.0.6 knows at prerouting only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.docker.engines.order import by_container
from testbed.docker.engines.view import Bridged, NetworkAttachment, View, view4, view6, wants_ip6
from testbed.docker.host import DockerHost, GatewayMode, PublishedPort
from testbed.rules.nft import NftRuleset
from testbed.rules.origin import RulesetOrigin

_MAPS = ("filter-forward-in", "filter-forward-out", "nat-postrouting-in", "nat-postrouting-out")
NAME = "29-nftables"
_KNOWN = "ct state established,related counter accept"
_TO_LOCAL = "fib daddr type local counter jump nat-prerouting-and-output"
_UNTOUCHED = "table ip docker-bridges {\n}\n"

Chain = tuple[str, list[str]]


@dataclass(frozen=True, slots=True)
class _Words:
    """What a version of IP is called, its loopback, its echo, and who is not translated: neighbours on the link."""

    ip: str
    loopback: str
    icmp: str
    but: str = ""


_WORDS = {
    4: _Words("ip", "127.0.0.0/8", "ip protocol icmp"),
    6: _Words("ip6", "::1", "meta l4proto ipv6-icmp", "ip6 saddr != fe80::/10 "),
}


def rules(host: DockerHost) -> NftRuleset:
    """The rule set of such an engine for this host; IPv6's table where it is asked for, or has a network."""
    views = [view4(host)] if host.iptables else []
    if wants_ip6(host):
        views.append(view6(host))
    return NftRuleset(
        "".join(map(_table, views)) or _UNTOUCHED, f"the rules of engine {NAME}", RulesetOrigin.of_engine(NAME)
    )


def _table(view: View) -> str:
    blocks = [*(_map(name, view) for name in _MAPS), *(_chain(*chain) for chain in _chains(view))]
    return f"table {_words(view).ip} docker-bridges {{\n" + "\n".join(blocks) + "}\n"


def _words(view: View) -> _Words:
    return _WORDS[view.family.version]


def _map(name: str, view: View) -> str:
    """Which chain is for which bridge."""
    elements = ",\n\t\t\t     ".join(f'"{n.bridge}" : jump {name}__{n.bridge}' for n in view.networks)
    held = f"\t\telements = {{ {elements} }}\n" if elements else ""
    return f"\tmap {name}-jumps {{\n\t\ttype ifname : verdict\n{held}\t}}\n"


def _chain(name: str, lines: list[str]) -> str:
    return "".join([f"\tchain {name} {{\n", *(f"\t\t{line}\n" for line in lines), "\t}\n"])


def _chains(view: View) -> Iterator[Chain]:
    hook = "type {} hook {} priority {}; policy accept;".format
    words = _words(view)
    not_loopback = f"{words.ip} daddr != {words.loopback} " if view.userland_proxy else ""
    ports = [(attached, port) for attached in view.attached for port in sorted(attached.published, key=by_container)]
    direct, translated = (
        list(_direct(view)),
        [line for attached, port in ports for line in _translated(view, attached, port)],
    )
    yield (
        "filter-FORWARD",
        [
            hook("filter", "forward", "filter"),
            "oifname vmap @filter-forward-in-jumps",
            "iifname vmap @filter-forward-out-jumps",
        ],
    )
    yield "nat-OUTPUT", [hook("nat", "output", -100), not_loopback + _TO_LOCAL]
    yield (
        "nat-POSTROUTING",
        [
            hook("nat", "postrouting", "srcnat"),
            "iifname vmap @nat-postrouting-out-jumps",
            "oifname vmap @nat-postrouting-in-jumps",
        ],
    )
    yield "nat-PREROUTING", [hook("nat", "prerouting", "dstnat"), _TO_LOCAL]
    yield "nat-prerouting-and-output", translated
    yield "raw-PREROUTING", [hook("filter", "prerouting", "raw"), *direct]
    for network in view.networks:
        own = [(attached, port) for attached, port in ports if attached.network == network]
        yield from _of_network(view, network, own)


def _direct(view: View) -> Iterator[str]:
    """What comes straight to a container's address, or to a port of the host's loopback, from outside.

    The kernel itself accepts no packet for ::1 from outside.
    """
    ip = _words(view).ip
    for attached in view.attached:
        network = attached.network
        if network.internal:
            continue
        if network.mode is GatewayMode.NAT and not view.direct_routing:
            inside = ", ".join(f'"{name}"' for name in (network.bridge, *network.trusted))
            from_outside = f"iifname != {{ {inside} }}" if network.trusted else f"iifname != {inside}"
            yield f'{ip} daddr {attached.address} {from_outside} counter drop comment "DROP DIRECT ACCESS"'
        for port in sorted(attached.published, key=by_container):
            if port.on_loopback and network.mode is not GatewayMode.ROUTED and ip == "ip":
                to = f"ip daddr {port.address} {port.protocol} dport {port.host}"
                yield f'iifname != "lo" {to} counter drop comment "DROP REMOTE LOOPBACK"'


def _translated(view: View, attached: NetworkAttachment, port: PublishedPort) -> Iterator[str]:
    if attached.network.mode is GatewayMode.ROUTED:
        return
    words = _words(view)
    outside = f'iifname != "{attached.network.bridge}" ' if view.userland_proxy else ""
    to = "" if port.everywhere else f"{words.ip} daddr {port.address} "
    target = view.family.to(attached.address, port.container)
    yield f'{outside}{words.but}{to}{port.protocol} dport {port.host} counter dnat to {target} comment "DNAT"'


def _of_network(view: View, network: Bridged, ports: list[tuple[NetworkAttachment, PublishedPort]]) -> Iterator[Chain]:
    bridge = network.bridge
    if network.internal:
        among = "accept" if network.icc else "drop"
        inward = f'iifname != "{bridge}" counter drop comment "INTERNAL NETWORK INGRESS"'
        outward = f'oifname != "{bridge}" counter drop comment "INTERNAL NETWORK EGRESS"'
        yield f"filter-forward-in__{bridge}", [_KNOWN, inward, f'counter {among} comment "ICC"']
        yield f"filter-forward-out__{bridge}", [_KNOWN, outward]
        yield f"nat-postrouting-in__{bridge}", []
        yield f"nat-postrouting-out__{bridge}", []
        return
    words = _words(view)
    yield f"filter-forward-in__{bridge}", [_KNOWN, *_inward(words, network, ports)]
    yield f"filter-forward-out__{bridge}", [_KNOWN, 'counter accept comment "OUTGOING"']
    yield f"nat-postrouting-in__{bridge}", [] if view.userland_proxy else list(_from_within(words, network, ports))
    routed = network.mode is GatewayMode.ROUTED
    verdict, comment = _translation(network)
    masquerade = f'oifname != "{bridge}" {words.ip} saddr {network.subnet} counter {verdict} comment "{comment}"'
    yield f"nat-postrouting-out__{bridge}", [masquerade] if network.masquerade and not routed else []


def _translation(network: Bridged) -> tuple[str, str]:
    """How packets go out under an address of the host: the verdict, and the comment beside it."""
    return ("masquerade", "MASQUERADE") if network.snat is None else (f"snat to {network.snat}", "SNAT")


def _inward(words: _Words, network: Bridged, ports: list[tuple[NetworkAttachment, PublishedPort]]) -> Iterator[str]:
    if network.mode is GatewayMode.ROUTED:
        yield f'{words.icmp} counter accept comment "ICMP"'
    yield f'iifname "{network.bridge}" counter {"accept" if network.icc else "drop"} comment "ICC"'
    if network.mode is GatewayMode.NAT_UNPROTECTED:
        yield 'counter accept comment "UNPROTECTED"'
        return
    accepted = (
        f"{words.ip} daddr {a.address} {port.protocol} dport {port.container} counter accept" for a, port in ports
    )
    yield from dict.fromkeys(accepted)
    yield 'counter drop comment "UNPUBLISHED PORT DROP"'


def _from_within(
    words: _Words, network: Bridged, ports: list[tuple[NetworkAttachment, PublishedPort]]
) -> Iterator[str]:
    """Without the userland proxy: the host's own calls, and a container's that reaches itself by its published port."""
    verdict, comment = _translation(network)
    yield f'fib saddr type local counter {verdict} comment "{comment} FROM HOST"'
    if network.mode is GatewayMode.ROUTED:
        return
    own = (
        f"{words.ip} saddr {a.address} {words.ip} daddr {a.address} {port.protocol} dport {port.container}"
        ' counter masquerade comment "MASQ TO OWN PORT"'
        for a, port in ports
    )
    yield from dict.fromkeys(own)
