"""The daemon's configuration (daemon.json): the keys that change rules, bridges or addresses, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Network, ip_network

from testbed.docker.compose import keys
from testbed.docker.host import VersionRequirement
from testbed.docker.problems import Problems
from testbed.docker.tree import Tree
from testbed.topology import MTU

BRIDGE_OPTION = "com.docker.network.bridge."
DEFAULT_BRIDGE = "docker0"
_POOLS = (
    *((IPv4Network(f"172.{second}.0.0/16"), 16) for second in range(17, 32)),
    (IPv4Network("192.168.0.0/16"), 20),
)
_DOCKER0 = IPv4Interface("172.17.0.1/16")
_LEAST_MTU, _LEAST_MTU6, _MOST_MTU = 68, 1280, 65535  # of IPv4 (RFC 791), of IPv6 (RFC 8200), of the kernel
_NEW_KEYS: dict[str, tuple[int, ...]] = {
    "default-network-opts": (24, 0),
    "ip-forward-no-drop": (28, 0),
    "allow-direct-routing": (28, 2),
    "firewall-backend": (29, 0),
}  # the first version that knows the key
_UNBUILT = {
    "bip6": "write `fixed-cidr-v6`",
    "default-gateway": "leave it out: the gateway of a container is its network's bridge",
    "default-gateway-v6": "leave it out: the gateway of a container is its network's bridge",
    "bridge-accept-fwmark": "leave it out; rules of your own can be given with --rules",
}
_FILTERED = (
    *("userland-proxy", "icc", "ip-masq", "iptables", "ip6tables", "ip-forward", "bip", "fixed-cidr", "ipv6"),
    "bridge",
    *("fixed-cidr-v6", "ip", "mtu", "default-address-pools", "experimental", *_NEW_KEYS, *_UNBUILT),
)
_WITHOUT_PART = """
add-runtime allow-nondistributable-artifacts api-cors-header authorization-plugins builder bridge-nf cgroup-parent
cluster-advertise cluster-store cluster-store-opts config-file containerd containerd-namespace
containerd-plugins-namespace cpu-rt-period cpu-rt-runtime data-root debug default-cgroupns-mode default-gateway
default-gateway-v6 default-ipc-mode default-runtime default-shm-size default-ulimits dns dns-opt dns-opts dns-search
exec-opts exec-root features fixed-cidr graph group hosts http-proxy https-proxy init init-path insecure-registries
labels live-restore log-driver log-format log-level log-opts max-concurrent-downloads max-concurrent-uploads
max-download-attempts metrics-addr min-api-version network-control-plane-mtu network-diagnostic-port no-new-privileges
no-proxy node-generic-resources oom-score-adjust pidfile proxies raw-logs registry-mirrors rootless runtimes
seccomp-profile selinux-enabled shutdown-timeout storage-driver storage-opts swarm-default-advertise-addr tls
tlscacert tlscert tlskey tlsverify userland-proxy-path userns-remap host-gateway-ip host-gateway-ips validate
"""
_PASSED = tuple(_WITHOUT_PART.split())


@dataclass(frozen=True, slots=True)
class Pool:
    """Where subnets of networks that name none are taken from: pieces of `base` with prefixes of `size`."""

    base: IPv4Network
    size: int


@dataclass(frozen=True, slots=True)
class Daemon:
    """What daemon.json says, with the engine's defaults.

    `docker0` is the address of the engine's own bridge, `bridge` that bridge's name, `mtu` its MTU. `binding` is where
    ports of docker0 are published that name no address. `network_options` are the driver options of networks that do
    not say otherwise. `requirements` are the keys that only newer engines know.
    """

    userland_proxy: bool = True
    icc: bool = True
    masquerade: bool = True
    iptables: bool = True
    ip6tables: bool | None = None
    forwarding: bool = True
    forward_drop: bool = True
    direct_routing: bool = False
    native: bool | None = None
    docker0: IPv4Interface | None = _DOCKER0
    docker0_range: IPv4Network | None = None
    bridge: str = DEFAULT_BRIDGE
    mtu: int = MTU
    subnet6: IPv6Network | None = None
    binding: IPv4Address | None = None
    pools: tuple[Pool, ...] = tuple(Pool(*pool) for pool in _POOLS)
    network_options: tuple[tuple[str, Tree], ...] = ()
    requirements: tuple[VersionRequirement, ...] = ()


def read(tree: Tree, problems: Problems) -> Daemon:
    """Return what the keys say; those that have no part in filtering are passed over."""
    keys.only(tree, (*_FILTERED, *_PASSED), problems)
    for key, remedy in _UNBUILT.items():
        if not (entry := tree.child(key)).is_absent:
            problems.add(entry.error(f"a bed cannot be built with the daemon's {key}.", f"{remedy.capitalize()}."))
    with problems.collected():
        return _read(tree)
    return Daemon()


def _read(tree: Tree) -> Daemon:
    backend = tree.text("firewall-backend")
    if backend not in ("", "iptables", "nftables"):
        raise tree.child("firewall-backend").error(f"{backend} is no firewall backend.", "It is iptables or nftables.")
    return Daemon(
        userland_proxy=tree.flag("userland-proxy", True),
        icc=tree.flag("icc", True),
        masquerade=tree.flag("ip-masq", True),
        iptables=tree.flag("iptables", True),
        ip6tables=None if tree.child("ip6tables").is_absent else tree.flag("ip6tables", True),
        forwarding=tree.flag("ip-forward", True),
        forward_drop=not tree.flag("ip-forward-no-drop", False),
        direct_routing=tree.flag("allow-direct-routing", False),
        native=None if not backend else backend == "nftables",
        docker0=_docker0(tree),
        bridge=_bridge(tree),
        mtu=mtu_of(tree, "mtu") or MTU,
        docker0_range=_part_of_docker0(tree),
        subnet6=_subnet6(tree),
        binding=_binding(tree),
        pools=_pools(tree.child("default-address-pools")),
        network_options=tuple(tree.child("default-network-opts").child("bridge").mapping),
        requirements=tuple(
            VersionRequirement(f"the daemon's {key}", since, tree.child(key).place)
            for key, since in _NEW_KEYS.items()
            if not tree.child(key).is_absent
        ),
    )


def mtu_of(tree: Tree, key: str) -> int:
    """Return the MTU that a key gives, 0 where it gives none; TopologyError for one that no network can have."""
    mtu = tree.number(key, 0)
    if mtu and not _LEAST_MTU <= mtu <= _MOST_MTU:
        raise tree.child(key).error(f"{mtu} is no MTU.", f"An MTU is {_LEAST_MTU} to {_MOST_MTU}.")
    return mtu


def _bridge(tree: Tree) -> str:
    """The bridge of the engine's own network: one that is there already, or docker0."""
    name = tree.text("bridge")
    if name not in ("", "none") and tree.text("bip"):
        raise tree.child("bridge").error("an engine takes `bridge` or `bip`, not both.", "Leave out one of them.")
    return name or DEFAULT_BRIDGE


def _docker0(tree: Tree) -> IPv4Interface | None:
    """The address of docker0: `bip`, else the first of the first pool; None where there is no such bridge."""
    if tree.text("bridge") == "none":
        return None
    first = _pools(tree.child("default-address-pools"))[0]
    subnet = next(first.base.subnets(new_prefix=first.size))
    chosen = tree.converted("bip", IPv4Interface, IPv4Interface(f"{subnet[1]}/{subnet.prefixlen}"))
    part = _part_of_docker0(tree)
    if part is None:
        return chosen
    if not part.subnet_of(chosen.network):
        raise tree.child("fixed-cidr").error(f"{part} is not in docker0's subnet {chosen.network}.")
    own = part[0] if part[0] != subnet[0] else part[1]  # as seen with 20.10.24
    return chosen if tree.text("bip") else IPv4Interface(f"{own}/{subnet.prefixlen}")


def _part_of_docker0(tree: Tree) -> IPv4Network | None:
    unsaid: IPv4Network | None = None
    return tree.converted("fixed-cidr", IPv4Network, unsaid)


def _pools(tree: Tree) -> tuple[Pool, ...]:
    found = []
    for item in tree.items:
        with item.blamed():
            base = ip_network(item.text("base"))
        size = item.number("size", base.prefixlen)
        if isinstance(base, IPv6Network):
            continue
        if not base.prefixlen <= size <= base.max_prefixlen - 2:
            raise item.error(f"{base} has no subnets with a prefix of {size}.")
        found.append(Pool(base, size))
    return tuple(found) or Daemon().pools


def _binding(tree: Tree) -> IPv4Address | None:
    unsaid: IPv4Address | None = None
    address = tree.converted("ip", IPv4Address, unsaid)
    return None if address is not None and address.is_unspecified else address


def _subnet6(tree: Tree) -> IPv6Network | None:
    """The subnet of IPv6 on docker0: `fixed-cidr-v6`, which engines pass over where `ipv6` is not on."""
    unasked: IPv6Network | None = None
    subnet = tree.converted("fixed-cidr-v6", IPv6Network, unasked)
    if not tree.flag("ipv6", False):
        return None
    if subnet is None:
        raise tree.child("ipv6").error(
            "docker0 with IPv6 wants a subnet.",
            "Write `fixed-cidr-v6` too; without it engines before 28 do not start, and 28 makes one up by chance.",
        )
    if subnet.num_addresses < 4:  # two of a subnet's own, a bridge's, a container's
        raise tree.child("fixed-cidr-v6").error(f"{subnet} has no room for a bridge and a container.")
    return subnet
