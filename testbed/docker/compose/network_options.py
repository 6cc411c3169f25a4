"""The driver options of networks that change rules, bridges or addresses, and the versions that know them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from testbed.docker.daemon import BRIDGE_OPTION, mtu_of
from testbed.docker.host import GatewayMode, VersionRequirement
from testbed.docker.tree import Tree
from testbed.errors import TopologyError
from testbed.topology import MTU

A = TypeVar("A", IPv4Address, IPv6Address)

NAME = f"{BRIDGE_OPTION}name"
_ICC, _MASQUERADE = f"{BRIDGE_OPTION}enable_icc", f"{BRIDGE_OPTION}enable_ip_masquerade"
_MODES = {4: f"{BRIDGE_OPTION}gateway_mode_ipv4", 6: f"{BRIDGE_OPTION}gateway_mode_ipv6"}
_BINDING = f"{BRIDGE_OPTION}host_binding_ipv4"
_TRUSTED = f"{BRIDGE_OPTION}trusted_host_interfaces"
_INHIBITED = f"{BRIDGE_OPTION}inhibit_ipv4"
_SNAT, _SNAT6 = "com.docker.network.host_ipv4", "com.docker.network.host_ipv6"
_IPV4, _IPV6 = "com.docker.network.enable_ipv4", "com.docker.network.enable_ipv6"
_MTU = "com.docker.network.driver.mtu"
PARENT = "parent"
_KNOWN = (NAME, _ICC, _MASQUERADE, *_MODES.values(), _BINDING, _TRUSTED, _INHIBITED, _SNAT, _SNAT6, _IPV4, _IPV6, _MTU)
_PASSED = ("com.docker.network.container_iface_prefix", "com.docker.network.container_interface_prefix")
_OF_STATIONS = (PARENT, "macvlan_mode", "ipvlan_mode", "ipvlan_flag", _MTU, _IPV4, _IPV6)
_SINCE = {
    _TRUSTED: (28, 2),
    _SNAT6: (25, 0),
    _IPV6: (27, 0),
    _IPV4: (28, 0),
}  # moby, bridge_linux.go, daemon/network.go


@dataclass(frozen=True, slots=True)
class DriverOptions:
    """The options of a network, those of the daemon for all networks among them; `tree` is where the network stands."""

    tree: Tree
    given: Mapping[str, Tree] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The bridge's name, empty where the engine chooses it."""
        return self.text(NAME)

    def text(self, key: str) -> str:
        """Return the value of an option, empty where it is absent."""
        tree = self.given.get(key)
        return "" if tree is None or tree.is_absent else tree.word

    @property
    def icc(self) -> bool:
        return self._flag(_ICC, True)

    @property
    def masquerade(self) -> bool:
        return self._flag(_MASQUERADE, True)

    @property
    def inhibited(self) -> bool:
        """Whether the engine gives the bridge no address of IPv4."""
        return self._flag(_INHIBITED, False)

    @property
    def ipv4(self) -> bool:
        return self._flag(_IPV4, True)

    @property
    def ipv6(self) -> bool:
        return self._flag(_IPV6, False)

    @property
    def mtu(self) -> int:
        return mtu_of(Tree(dict(self.given), self.tree.source, self.tree.line), _MTU) or MTU

    @property
    def trusted(self) -> tuple[str, ...]:
        return tuple(name for name in self.text(_TRUSTED).split(":") if name)

    @property
    def binding(self) -> IPv4Address | None:
        """Where ports are published that name no address; None: on all addresses."""
        address = self._address(_BINDING, IPv4Address)
        return None if address is None or address.is_unspecified else address

    @property
    def snat(self) -> IPv4Address | None:
        return self._address(_SNAT, IPv4Address)

    @property
    def snat6(self) -> IPv6Address | None:
        return self._address(_SNAT6, IPv6Address)

    def mode(self, version: int) -> GatewayMode:
        """Return how its containers are reached in a version of IP."""
        value = self.text(_MODES[version])
        if not value:
            return GatewayMode.NAT
        with self.given[_MODES[version]].blamed():
            return GatewayMode(value)

    def requirements(self) -> Iterator[VersionRequirement]:
        """Yield the options that not every engine knows."""
        for key, since in _SINCE.items():
            if self.text(key):
                yield VersionRequirement(f"the option {key}", since, self.given[key].place)

    def problems(self, of_bridge: bool) -> Iterator[TopologyError]:
        """Yield what is wrong with the names and values of options."""
        known = _KNOWN if of_bridge else _OF_STATIONS
        for key, tree in self.given.items():
            if key not in (*known, *_PASSED):
                yield tree.error(f"the key {key} is not known here.", f"Known are {', '.join(known)}.")
        if not of_bridge:
            return
        for read in (self._read_modes, self._read_flags, self._read_addresses):
            try:
                read()
            except TopologyError as error:
                yield error

    def _read_modes(self) -> None:
        for version in _MODES:
            self.mode(version)

    def _read_flags(self) -> None:
        _ = (self.icc, self.masquerade, self.inhibited, self.ipv4, self.ipv6, self.mtu)

    def _read_addresses(self) -> None:
        _ = (self.binding, self.snat, self.snat6)

    def _flag(self, key: str, otherwise: bool) -> bool:
        return Tree(dict(self.given), self.tree.source, self.tree.line).flag(key, otherwise)

    def _address(self, key: str, kind: Callable[[str], A]) -> A | None:
        if not (text := self.text(key)):
            return None
        with self.given[key].blamed():
            return kind(text)
