"""The network that a Docker host stands in: a LAN with a client and a gateway, an internet behind the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from testbed.docker.host import Attachment, Container, DockerHost, GatewayMode
from testbed.errors import TopologyError
from testbed.topology import AddressWithPrefix, Bridge, Interface, Link, Node, Port, Route, Topology

UPLINK = "ens33"  # the external interface of the article's host
HOST_ADDRESS = IPv4Interface("192.168.66.100/24")
CLIENT_ADDRESS = IPv4Interface("192.168.66.1/24")
GATEWAY_ADDRESS = IPv4Interface("192.168.66.254/24")
INTERNET_ADDRESS = IPv4Interface("203.0.113.10/24")
INTERNET_GATEWAY = IPv4Interface("203.0.113.254/24")
SCRIPTED_CLIENT_ADDRESS = IPv4Interface("192.168.66.2/24")  # beside the kernel's own, where the client has a kernel
AROUND = ("client", "gateway", "internet", "lan", "host")  # the nodes of every bed
EVERYWHERE, EVERYWHERE6 = IPv4Network("0.0.0.0/0"), IPv6Network("::/0")

# The same places in IPv6 (2001:db8::/32 is for documentation, RFC 3849), where the Docker host has a network with it.
HOST_ADDRESS6 = IPv6Interface("2001:db8:66::100/64")
CLIENT_ADDRESS6 = IPv6Interface("2001:db8:66::1/64")
GATEWAY_ADDRESS6 = IPv6Interface("2001:db8:66::fe/64")
INTERNET_ADDRESS6 = IPv6Interface("2001:db8:113::10/64")
INTERNET_GATEWAY6 = IPv6Interface("2001:db8:113::fe/64")
SCRIPTED_CLIENT_ADDRESS6 = IPv6Interface("2001:db8:66::2/64")

AROUND_HOST: dict[str, IPv4Network | IPv6Network] = {
    "the LAN": HOST_ADDRESS.network,
    "the internet": INTERNET_ADDRESS.network,
    "the LAN in IPv6": HOST_ADDRESS6.network,
    "the internet in IPv6": INTERNET_ADDRESS6.network,
}

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
_PLAIN = tuple(
    (f"net.ipv4.conf.{scope}.{key}", "0") for scope in ("all", "default") for key in ("rp_filter", "send_redirects")
)
_ROUTER = (("net.ipv4.ip_forward", "1"), *_PLAIN)
_ROUTER6 = (("net.ipv6.conf.all.forwarding", "1"), ("net.ipv6.conf.default.forwarding", "1"))
_SWITCH = (("net.bridge.bridge-nf-call-iptables", "0"), ("net.bridge.bridge-nf-call-arptables", "0"))


def topology(docker: DockerHost, mac: str, index: int | None = None, altname: str | None = None) -> Topology:
    """The host in its network, its external interface with this MAC and index.

    Client, internet and containers are scripted ends.
    """
    return _network(docker, _host(docker, mac, index, altname), scripted=True)


def topology_with_kernels(
    docker: DockerHost, mac: str, index: int | None = None, altname: str | None = None
) -> Topology:
    """The same network with real machines in it: kernels answer for client, internet and containers.

    A script can still hold both ends of a connection: it asks from 192.168.66.2, an address and a MAC of its own, and
    the containers' kernels pass over what comes from there, because a strict reverse-path filter finds no way back
    (a blackhole route), before any socket sees it (fib_validate_source, net/ipv4/fib_frontend.c).
    """
    return _network(docker, _host(docker, mac, index, altname), scripted=False)


def surroundings(host: Node, six: bool) -> Topology:
    """The same network around a host that has nothing but ens33; its ends are scripted. `six`: with IPv6."""
    return Topology(_around(host, six, scripted=True), _links(UPLINK))


def _links(uplink: str) -> tuple[Link, ...]:
    return (
        Link(Port("client", "eth0"), Port("lan", "client")),
        Link(Port("gateway", "eth0"), Port("lan", "gateway")),
        Link(Port("host", uplink), Port("lan", "host")),
        Link(Port("internet", "eth0"), Port("gateway", "eth1")),
    )


def _around(host: Node, six: bool, scripted: bool, also: tuple[IPv4Interface, ...] = ()) -> tuple[Node, ...]:
    return (_client(scripted, six), _gateway(six, also), _internet(scripted, six), _switch(), host)


def _network(docker: DockerHost, host: Node, scripted: bool) -> Topology:
    _own_addresses(docker)
    containers = [_container(container, scripted) for container in docker.containers]
    plugged = (
        Link(Port(container.name, f"eth{number}"), Port("host", own.veth))
        for container in docker.containers
        for number, own in enumerate(container.attachments)
    )
    around = _around(host, docker.ipv6, scripted, docker.also)
    return Topology((*around, *containers), (*_links(docker.uplink), *plugged))


def refuse_subnet_of_bed(subnet: IPv4Network | IPv6Network) -> None:
    """Raise TopologyError for a subnet that overlaps one of the networks around the host."""
    for name, own in AROUND_HOST.items():
        if own.version == subnet.version and own.overlaps(subnet):
            raise TopologyError(
                f"the subnet {subnet} overlaps that of {name} in every bed, {own}.", "Choose another subnet."
            )


def _own_addresses(docker: DockerHost) -> None:
    for network in docker.networks:
        for subnet in (network.subnet, network.subnet6):
            if subnet is not None:
                refuse_subnet_of_bed(subnet)
    own = [address.ip for address in (*_both(HOST_ADDRESS, HOST_ADDRESS6 if docker.ipv6 else None), *docker.also)]
    own += [address.ip for network in docker.networks for address in network.bridge_addresses]
    for container, port in docker.published():
        if not (port.everywhere or port.on_loopback or port.address in own):
            raise TopologyError(
                f"{container.name} publishes {port}, but the host has no address {port.address}.",
                f"It has {', '.join(map(str, own))}, and its loopback.",
            )


def _host(docker: DockerHost, mac: str, index: int | None, altname: str | None) -> Node:
    six = docker.ipv6
    own = (*_both(HOST_ADDRESS, HOST_ADDRESS6 if six else None), *docker.also)
    uplink = Interface(docker.uplink, mac, own, index=index, altname=altname if docker.uplink == UPLINK else None)
    hairpin = not docker.userland_proxy
    veths = (
        Interface(own.veth, own.veth_mac, (), index=own.veth_index, master=own.network.bridge, hairpin=hairpin)
        for container in docker.containers
        for own in container.attachments
    )
    return Node(
        "host",
        (uplink, *veths),
        tuple(Bridge(n.bridge, n.mac, n.bridge_addresses, n.index) for n in docker.networks),
        _ways_out(GATEWAY_ADDRESS, GATEWAY_ADDRESS6 if six else None),
        (*_ipv6(six), *HOST_SYSCTLS, *_forwarding(docker)),
        tuple(_of_bridges(docker)),
    )


def _forwarding(docker: DockerHost) -> tuple[tuple[str, str], ...]:
    """What is left of forwarding where the engine does not switch it on: none, as Linux has it."""
    if docker.forwarding:
        return _ROUTER6 if docker.ipv6 else ()
    return (("net.ipv4.ip_forward", "0"),)


def _of_bridges(docker: DockerHost) -> Iterator[tuple[str, str]]:
    """The sysctls of its bridges that an engine sets."""
    for network in docker.networks:
        if not docker.userland_proxy:
            yield f"net.ipv4.conf.{network.bridge}.route_localnet", "1"
        if network.gateway6 is not None and network.mode6 is GatewayMode.ISOLATED:
            yield f"net.ipv6.conf.{network.bridge}.disable_ipv6", "1"  # as seen with 28.5.2


def _both(address: IPv4Interface, address6: IPv6Interface | None) -> tuple[AddressWithPrefix, ...]:
    return (address,) if address6 is None else (address, address6)


def _ways_out(gateway: IPv4Interface, gateway6: IPv6Interface | None) -> tuple[Route, ...]:
    to_all = Route(EVERYWHERE, gateway.ip)
    return (to_all,) if gateway6 is None else (to_all, Route(EVERYWHERE6, gateway6.ip))


def _ipv6(wanted: bool) -> tuple[tuple[str, str], ...]:
    """Sysctls that let a kernel speak IPv6, or not."""
    return QUIET_IPV6 if wanted else NO_IPV6


def _client(scripted: bool, six: bool) -> Node:
    mac = "00:50:56:c0:00:08"
    addresses = _both(CLIENT_ADDRESS, CLIENT_ADDRESS6 if six else None)
    if scripted:
        eth0 = Interface("eth0", mac, scripted=addresses)
    else:
        own = _both(SCRIPTED_CLIENT_ADDRESS, SCRIPTED_CLIENT_ADDRESS6 if six else None)
        eth0 = Interface("eth0", mac, addresses, own, scripted_mac="00:50:56:c0:00:09")
    ways_out = _ways_out(GATEWAY_ADDRESS, GATEWAY_ADDRESS6 if six else None)
    return Node("client", (eth0,), routes=ways_out, sysctls=(*_ipv6(six and not scripted), *_PLAIN))


def _gateway(six: bool, also: tuple[IPv4Interface, ...]) -> Node:
    lan = Interface("eth0", "00:50:56:e0:00:fe", _both(GATEWAY_ADDRESS, GATEWAY_ADDRESS6 if six else None))
    outside = Interface("eth1", "00:50:56:e0:01:fe", _both(INTERNET_GATEWAY, INTERNET_GATEWAY6 if six else None))
    routes = tuple(Route(address.network, HOST_ADDRESS.ip) for address in also)
    return Node("gateway", (lan, outside), routes=routes, sysctls=(*_ipv6(six), *_ROUTER, *(_ROUTER6 if six else ())))


def _internet(scripted: bool, six: bool) -> Node:
    addresses = _both(INTERNET_ADDRESS, INTERNET_ADDRESS6 if six else None)
    eth0 = Interface("eth0", "00:00:5e:00:53:0a", *(((), addresses) if scripted else (addresses, ())))
    ways_out = _ways_out(INTERNET_GATEWAY, INTERNET_GATEWAY6 if six else None)
    return Node("internet", (eth0,), routes=ways_out, sysctls=(*_ipv6(six and not scripted), *_PLAIN))


def _switch() -> Node:
    """The LAN itself: a bridge that filters nothing and says nothing of its own."""
    ports = tuple(
        Interface(name, f"00:00:5e:00:53:{number:02x}", index=number, master="lan")
        for number, name in enumerate(("client", "gateway", "host"), start=0xF1)
    )
    return Node("lan", ports, (Bridge("lan", "00:00:5e:00:53:f0"),), sysctls=(*NO_IPV6, *_SWITCH))


def _container(container: Container, scripted: bool) -> Node:
    six = any(own.address6 is not None for own in container.attachments)
    ends = tuple(_end(number, own, scripted) for number, own in enumerate(container.attachments))
    gateway = container.default_route
    ways_out: tuple[Route, ...] = ()
    if gateway is not None:
        ways_out = _ways_out(gateway.network.gateway, gateway.network.gateway6)
    if scripted:
        return Node(container.name, ends, routes=ways_out, sysctls=(*NO_IPV6, *_PLAIN))
    nowhere = [Route(IPv4Network(SCRIPTED_CLIENT_ADDRESS.ip), blackhole=True)]
    if six:
        nowhere.append(Route(IPv6Network(SCRIPTED_CLIENT_ADDRESS6.ip), blackhole=True))
    strict = ("net.ipv4.conf.all.rp_filter", "1")
    return Node(container.name, ends, routes=(*ways_out, *nowhere), sysctls=(*_ipv6(six), strict))


def _end(number: int, own: Attachment, scripted: bool) -> Interface:
    network = own.network
    four = IPv4Interface(f"{own.address}/{network.subnet.prefixlen}")
    six = IPv6Interface(f"{own.address6}/{network.subnet6.prefixlen}") if network.subnet6 else None
    addresses = _both(four, six)
    kernels, scripts = ((), addresses) if scripted else (addresses, ())
    return Interface(f"eth{number}", own.mac, kernels, scripts, index=own.index)
