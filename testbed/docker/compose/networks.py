"""The networks of a compose file: what each asks for, and the bridge network that an engine makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_network,
)

from testbed.docker import naming
from testbed.docker.compose import keys
from testbed.docker.compose.network_options import DriverOptions
from testbed.docker.daemon import Daemon
from testbed.docker.host import GatewayMode, Network
from testbed.docker.problems import Problems
from testbed.docker.tree import Tree

DEFAULT = "default"  # the network of services that name none
DOCKER0 = "bridge"  # what the engine calls the network of docker0
DOCKER0_KEY = "docker0:"  # the key of that network, which no file can have
_ROOM = 4  # addresses: two of a subnet's own, a bridge's, a container's
BRIDGE, MACVLAN, IPVLAN, HOST, NONE = "bridge", "macvlan", "ipvlan", "host", "none"
_REMEDIES = {"overlay": "Compose makes no overlay network where no swarm is; for one host, write `driver: bridge`."}
_LEAST_MTU6 = 1280  # RFC 8200
_Subnet = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class IpamPool:
    """One entry of `ipam.config`: a subnet, its gateway, the part that containers get, and what is kept back."""

    subnet: _Subnet
    gateway: IPv4Address | IPv6Address | None
    part: _Subnet | None
    kept: tuple[IPv4Address | IPv6Address, ...]


@dataclass(frozen=True, slots=True)
class NetworkRequest:
    """A network as the file asks for it; `name` is what the engine calls it.

    With the driver macvlan or ipvlan its containers are stations of the LAN, with host or none it is that mode.
    """

    key: str
    name: str
    tree: Tree
    options: DriverOptions
    driver: str = BRIDGE
    external: bool = False
    internal: bool = False
    ipv6: bool = False
    pools: dict[int, IpamPool] = field(default_factory=dict)

    @property
    def docker0(self) -> bool:
        """Whether this is the engine's own network."""
        return self.external and self.name == DOCKER0

    @property
    def of_stations(self) -> bool:
        """Whether its containers stand in the LAN, beside the host."""
        return self.driver in (MACVLAN, IPVLAN)


def requested(tree: Tree, project: str, daemon: Daemon, problems: Problems) -> dict[str, NetworkRequest]:
    """Return the networks of the file by their keys, the default one behind them where the file does not name it."""
    found = {}
    for key, entry in tree.mapping:
        with problems.collected():
            found[key] = _request(key, entry, project, daemon, problems)
    if DEFAULT not in dict(tree.mapping):
        options = DriverOptions(tree, dict(daemon.network_options))
        found[DEFAULT] = NetworkRequest(DEFAULT, f"{project}_{DEFAULT}", tree, options, ipv6=options.ipv6)
    return found


def _request(key: str, tree: Tree, project: str, daemon: Daemon, problems: Problems) -> NetworkRequest:
    keys.only(tree, keys.NETWORK, problems)
    external, name = _external(tree)
    name = name or tree.text("name") or (key if external else f"{project}_{key}")
    if external and name in (DOCKER0, HOST, NONE):
        return NetworkRequest(key, name, tree, DriverOptions(tree), name, external=True)
    driver = _driver(tree)
    defaults = dict(daemon.network_options) if driver == BRIDGE else {}
    options = DriverOptions(tree, defaults | dict(tree.child("driver_opts").mapping))
    for problem in options.problems(driver == BRIDGE):
        problems.add(problem)
    if not tree.flag("enable_ipv4", options.ipv4):
        raise tree.child("enable_ipv4").error("every network of a bed has IPv4.", "Leave `enable_ipv4` out.")
    ipv6 = tree.flag("enable_ipv6", options.ipv6)
    if ipv6 and options.mtu < _LEAST_MTU6:
        raise tree.error(
            f"the kernel has no IPv6 on links with an MTU of {options.mtu}.", f"Give {_LEAST_MTU6} or more."
        )
    internal = tree.flag("internal", False)
    return NetworkRequest(key, name, tree, options, driver, external, internal, ipv6, _pools(tree, ipv6, problems))


def _external(tree: Tree) -> tuple[bool, str]:
    """Whether it is there before the project, and the name that the older form of `external` gives it."""
    entry = tree.child("external")
    if isinstance(entry.value, dict):
        return True, entry.text("name")
    return tree.flag("external", False), ""


def _driver(tree: Tree) -> str:
    """The driver of a network that a bed has."""
    driver = tree.text("driver", BRIDGE) or BRIDGE
    if driver in (BRIDGE, DEFAULT):
        return BRIDGE
    if driver not in (MACVLAN, IPVLAN):
        remedy = _REMEDIES.get(driver, "Write `driver: bridge`, or leave the network out.")
        raise tree.child("driver").error(f"the driver {driver} is not known to a bed.", remedy)
    mode = tree.child("driver_opts").text("ipvlan_mode", "l2")
    if driver == IPVLAN and mode != "l2":
        raise (
            tree.child("driver_opts")
            .child("ipvlan_mode")
            .error(
                f"packets of an ipvlan in mode {mode} are routed by the host's kernel, which a bed does not build.",
                "Write l2, or leave the network out.",
            )
        )
    return driver


def _pools(tree: Tree, ipv6: bool, problems: Problems) -> dict[int, IpamPool]:
    ipam = tree.child("ipam")
    keys.only(ipam, ("config", "driver", "options"), problems)
    if (driver := ipam.text("driver", "default")) != "default":
        raise ipam.child("driver").error(f"the IPAM driver {driver} is not known.", "Write `default`.")
    found: dict[int, IpamPool] = {}
    for item in ipam.child("config").items:
        keys.only(item, keys.POOL, problems)
        pool = _pool(item)
        if pool is None:
            continue
        if pool.subnet.version in found:
            raise item.error(f"a network of a bed has one subnet of IPv{pool.subnet.version}.")
        found[pool.subnet.version] = pool
    if 6 in found and not ipv6:
        raise tree.error(
            "a network with IPv6 has `enable_ipv6: true` and a subnet of IPv6 in `ipam.config`.",
            "Write both or neither; without the first an engine passes over the second.",
        )
    return found


def _pool(tree: Tree) -> IpamPool | None:
    unsaid: _Subnet | None = None
    subnet = tree.converted("subnet", _network, unsaid)
    if subnet is None:
        if tree.mapping:
            raise tree.error("a pool of addresses needs a `subnet`.", "Write `subnet`, or leave the pool out.")
        return None
    if subnet.num_addresses < _ROOM:
        raise tree.error(f"{subnet} has no room for a bridge and a container.")
    nothing: IPv4Address | IPv6Address | None = None
    gateway = tree.converted("gateway", ip_address, nothing)
    if gateway is not None and gateway not in subnet:
        raise tree.error(f"the gateway {gateway} is not in {subnet}.")
    part = tree.converted("ip_range", _network, unsaid)
    if part is not None and not (part[0] in subnet and part[-1] in subnet):
        raise tree.child("ip_range").error(f"the range {part} is not in {subnet}.")
    kept = tree.child("aux_addresses")
    with kept.blamed():
        return IpamPool(subnet, gateway, part, tuple(ip_address(entry.word) for _, entry in kept.mapping))


def _network(text: str) -> _Subnet:
    """Return the subnet of an address with a prefix, as engines read it."""
    return ip_network(text, strict=False)


def built(request: NetworkRequest, subnet: IPv4Network, subnet6: IPv6Network | None, bridge: str) -> Network:
    """Return the network of an engine that has these subnets, with the gateways asked for, or the first addresses."""
    gateway = IPv4Interface(f"{gateway_of(request, subnet)}/{subnet.prefixlen}")
    gateway6 = IPv6Interface(f"{gateway_of(request, subnet6)}/{subnet6.prefixlen}") if subnet6 is not None else None
    options = request.options
    return Network(
        options.name or bridge,
        gateway,
        naming.mac(gateway.ip),
        name=request.name,
        icc=options.icc,
        masquerade=options.masquerade,
        internal=request.internal,
        mode=options.mode(4),
        gateway6=gateway6,
        mode6=options.mode(6),
        binding=options.binding,
        snat=options.snat,
        snat6=options.snat6,
        trusted=options.trusted,
        addressed=not options.inhibited,
        mtu=options.mtu,
    )


def gateway_of(request: NetworkRequest, subnet: _Subnet) -> IPv4Address | IPv6Address:
    """The gateway asked for, else the first address; in mode isolated the subnet's own, which no container gets.

    In that mode an engine keeps none back that is not asked for, and the first is a container's (28.5.2).
    """
    pool = request.pools.get(subnet.version)
    if pool is not None and pool.gateway is not None:
        return pool.gateway
    if request.options.mode(subnet.version) is GatewayMode.ISOLATED:
        return subnet[0]
    part = pool.part if pool is not None and pool.part is not None else subnet
    return part[0] if part[0] not in (subnet[0],) else subnet[1]
