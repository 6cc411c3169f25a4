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
from testbed.docker.daemon import BRIDGE_OPTION, Daemon
from testbed.docker.host import GatewayMode, Network
from testbed.docker.problems import Problems
from testbed.docker.tree import Tree
from testbed.errors import TopologyError

DEFAULT = "default"  # the network of services that name none
DOCKER0 = "bridge"  # what the engine calls the network of docker0
DOCKER0_KEY = "docker0:"  # the key of that network, which no file can have
_ROOM = 4  # addresses: two of a subnet's own, a bridge's, a container's
_MTU = 1500
_MODES = {4: f"{BRIDGE_OPTION}gateway_mode_ipv4", 6: f"{BRIDGE_OPTION}gateway_mode_ipv6"}
_BINDING = f"{BRIDGE_OPTION}host_binding_ipv4"
_FLAGS = tuple(f"{BRIDGE_OPTION}{key}" for key in ("enable_icc", "enable_ip_masquerade"))
_OPTIONS = (f"{BRIDGE_OPTION}name", *_FLAGS, *_MODES.values(), _BINDING, "com.docker.network.driver.mtu")
_PASSED_OPTIONS = ("com.docker.network.container_iface_prefix", "com.docker.network.container_interface_prefix")
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
    """A network as the file asks for it; `name` is what the engine calls it."""

    key: str
    name: str
    tree: Tree
    external: bool = False
    internal: bool = False
    ipv6: bool = False
    pools: dict[int, IpamPool] = field(default_factory=dict)
    options: dict[str, Tree] = field(default_factory=dict)

    def option(self, key: str) -> str:
        """Return the value of a driver option, empty where it is absent."""
        tree = self.options.get(key)
        return "" if tree is None or tree.is_absent else tree.word

    def mode(self, version: int) -> GatewayMode:
        """Return how its containers are reached in a version of IP."""
        value = self.option(_MODES[version])
        if not value:
            return GatewayMode.NAT
        with self.options[_MODES[version]].blamed():
            return GatewayMode(value)

    def flag(self, key: str) -> bool:
        """Return an option of the bridge that is on unless it is switched off."""
        return Tree(dict(self.options), self.tree.source, self.tree.line).flag(f"{BRIDGE_OPTION}{key}", True)

    @property
    def docker0(self) -> bool:
        """Whether this is the engine's own network."""
        return self.external and self.name == DOCKER0


def requested(tree: Tree, project: str, daemon: Daemon, problems: Problems) -> dict[str, NetworkRequest]:
    """Return the networks of the file by their keys, the default one behind them where the file does not name it."""
    found = {}
    for key, entry in tree.mapping:
        with problems.collected():
            found[key] = _request(key, entry, project, daemon, problems)
    if DEFAULT not in dict(tree.mapping):
        found[DEFAULT] = NetworkRequest(DEFAULT, f"{project}_{DEFAULT}", tree, options=dict(daemon.network_options))
    return found


def _request(key: str, tree: Tree, project: str, daemon: Daemon, problems: Problems) -> NetworkRequest:
    keys.only(tree, keys.NETWORK, problems)
    external, name = _external(tree)
    name = name or tree.text("name") or (key if external else f"{project}_{key}")
    if external and name == DOCKER0:
        return NetworkRequest(key, name, tree, external=True)
    _driver(tree)
    if not tree.flag("enable_ipv4", True):
        raise tree.child("enable_ipv4").error("every network of a bed has IPv4.", "Leave `enable_ipv4` out.")
    options = dict(daemon.network_options) | dict(tree.child("driver_opts").mapping)
    for option in _unknown(options):
        problems.add(option)
    request = NetworkRequest(
        key,
        name,
        tree,
        external,
        tree.flag("internal", False),
        tree.flag("enable_ipv6", False),
        _pools(tree, problems),
        options,
    )
    for version in _MODES:
        request.mode(version)
    return request


def _external(tree: Tree) -> tuple[bool, str]:
    """Whether it is there before the project, and the name that the older form of `external` gives it."""
    entry = tree.child("external")
    if isinstance(entry.value, dict):
        return True, entry.text("name")
    return tree.flag("external", False), ""


def _driver(tree: Tree) -> None:
    driver = tree.text("driver", "bridge")
    if driver in ("bridge", "default", ""):
        return
    remedies = {
        "overlay": "An overlay network spans several hosts; for one host, write `driver: bridge`.",
        "macvlan": "Its containers stand in the LAN themselves, and no rule of the host filters them.",
        "ipvlan": "Its containers stand in the LAN themselves, and no rule of the host filters them.",
    }
    remedy = remedies.get(driver, "Write `driver: bridge`, or leave the network out.")
    raise tree.child("driver").error(f"the driver {driver} is not known to a bed, which has bridge networks.", remedy)


def _unknown(options: dict[str, Tree]) -> list[TopologyError]:
    """What is wrong with the names and values of driver options."""
    found = []
    for key, tree in options.items():
        if key not in (*_OPTIONS, *_PASSED_OPTIONS):
            found.append(tree.error(f"the key {key} is not known here.", f"Known are {', '.join(_OPTIONS)}."))
        elif key.endswith(".mtu") and tree.word != str(_MTU):
            found.append(tree.error(f"every link of a bed has an MTU of {_MTU}, not {tree.word}.", "Leave it out."))
    return found


def _pools(tree: Tree, problems: Problems) -> dict[int, IpamPool]:
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
    if 6 in found and not tree.flag("enable_ipv6", False):
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
    gateway = IPv4Interface(f"{_gateway(request, subnet)}/{subnet.prefixlen}")
    gateway6 = IPv6Interface(f"{_gateway(request, subnet6)}/{subnet6.prefixlen}") if subnet6 is not None else None
    binding = request.option(_BINDING)
    with request.options.get(_BINDING, request.tree).blamed():
        address = IPv4Address(binding) if binding else None
    return Network(
        request.option(f"{BRIDGE_OPTION}name") or bridge,
        gateway,
        naming.mac(gateway.ip),
        name=request.name,
        icc=request.flag("enable_icc"),
        masquerade=request.flag("enable_ip_masquerade"),
        internal=request.internal,
        mode=request.mode(4),
        gateway6=gateway6,
        mode6=request.mode(6),
        binding=None if address is None or address.is_unspecified else address,
    )


def _gateway(request: NetworkRequest, subnet: _Subnet) -> IPv4Address | IPv6Address:
    """The gateway asked for, else the first address; in mode isolated the subnet's own, which no container gets.

    In that mode an engine keeps none back that is not asked for, and the first is a container's (28.5.2).
    """
    pool = request.pools.get(subnet.version)
    if pool is not None and pool.gateway is not None:
        return pool.gateway
    if request.mode(subnet.version) is GatewayMode.ISOLATED:
        return subnet[0]
    part = pool.part if pool is not None and pool.part is not None else subnet
    return part[0] if part[0] not in (subnet[0],) else subnet[1]
