"""The sysctls of the nodes of a bed."""

from __future__ import annotations

NO_IPV6 = (("net.ipv6.conf.all.disable_ipv6", "1"), ("net.ipv6.conf.default.disable_ipv6", "1"))

# IPv6 that speaks only when it is spoken to: no router asked for, no address made up or checked. What is left is to
# report each group joined (RFC 2710); it is done at once, so that it is over when the bed stands (devices.py).
QUIET_IPV6 = (
    *(
        (f"net.ipv6.conf.{scope}.{key}", value)
        for scope in ("all", "default")
        for key, value in (
            ("disable_ipv6", "0"),
            ("accept_ra", "0"),
            ("autoconf", "0"),
            ("router_solicitations", "0"),
            ("accept_dad", "0"),
            ("dad_transmits", "0"),
            ("use_tempaddr", "0"),
            ("force_mld_version", "1"),
            ("mldv1_unsolicited_report_interval", "1"),
        )
    ),
    ("net.ipv6.conf.default.addr_gen_mode", "1"),
)

# What engine 20.10.24 left on its host (capture 20.10/web80), written out because a new namespace takes some of these
# from the machine it is made on (net.core.devconf_inherit_init_net, Documentation/admin-guide/sysctl/net.rst).
# ip_forward comes first: writing it sets several of the others (inet_forward_change, net/ipv4/devinet.c).
_CONF = {
    "accept_local": ("0", "0"),
    "accept_redirects": ("0", "1"),
    "arp_announce": ("0", "0"),
    "arp_ignore": ("0", "0"),
    "forwarding": ("1", "1"),
    "proxy_arp": ("0", "0"),
    "route_localnet": ("0", "0"),
    "rp_filter": ("0", "0"),
    "send_redirects": ("1", "1"),
}
HOST_SYSCTLS = (
    ("net.ipv4.ip_forward", "1"),
    *(
        (f"net.ipv4.conf.{scope}.{key}", values[number])
        for number, scope in enumerate(("all", "default"))
        for key, values in _CONF.items()
    ),
    ("net.ipv4.ip_local_port_range", "32768 60999"),
    ("net.ipv4.ip_unprivileged_port_start", "1024"),
    ("net.bridge.bridge-nf-call-iptables", "1"),
    ("net.bridge.bridge-nf-call-ip6tables", "1"),
    ("net.bridge.bridge-nf-call-arptables", "1"),
    ("net.bridge.bridge-nf-filter-pppoe-tagged", "0"),
    ("net.bridge.bridge-nf-filter-vlan-tagged", "0"),
    ("net.bridge.bridge-nf-pass-vlan-input-dev", "0"),
    ("net.netfilter.nf_conntrack_checksum", "1"),
    ("net.netfilter.nf_conntrack_tcp_be_liberal", "0"),
    ("net.netfilter.nf_conntrack_tcp_loose", "1"),
)
# A listener repeats no SYN/ACK: a script acknowledges in its own time, and a second SYN/ACK would be counted.
ONE_ANSWER = (("net.ipv4.tcp_synack_retries", "0"),)
PLAIN = tuple(
    (f"net.ipv4.conf.{scope}.{key}", "0") for scope in ("all", "default") for key in ("rp_filter", "send_redirects")
)
ROUTER = (("net.ipv4.ip_forward", "1"), *PLAIN)
ROUTER6 = (("net.ipv6.conf.all.forwarding", "1"), ("net.ipv6.conf.default.forwarding", "1"))
SWITCH = (("net.bridge.bridge-nf-call-iptables", "0"), ("net.bridge.bridge-nf-call-arptables", "0"))


def of_ipv6(wanted: bool) -> tuple[tuple[str, str], ...]:
    """Return sysctls that let a kernel speak IPv6, or not."""
    return QUIET_IPV6 if wanted else NO_IPV6
