"""The rules of engines from 28.0.0 on that speak iptables: FORWARD hands over to DOCKER-FORWARD.

Read off moby's own listings of its rules (integration/network/bridge/iptablesdoc at tags 28.0.0 to 29.7.2) and off a
real 28.5.2. What tells the generations apart is a `Generation`; all else they share.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.docker.engines import nat
from testbed.docker.engines.order import by_container
from testbed.docker.engines.tables import Tables, untouched
from testbed.docker.engines.view import (
    FAMILY4,
    FAMILY6,
    Bridged,
    NetworkAttachment,
    View,
    refuse_trusted,
    view4,
    view6,
    wants_ip6,
)
from testbed.docker.host import DockerHost, GatewayMode, PublishedPort
from testbed.rules.ruleset import Ruleset

_FROM_THE_LINK = "! -s fe80::/10 "  # as seen with 28.5.2; classic engines translate these too
_STAGE_1, _STAGE_2, _INTERNAL = "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2", "DOCKER-INTERNAL"


@dataclass(frozen=True, slots=True)
class Generation:
    """What such an engine does its own way.

    `whole_containers`: raw PREROUTING drops every packet sent straight to a container, not only those to published
    ports. `user_returns`: DOCKER-USER ends in RETURN. `isolation`: bridges are kept apart by the two stages; where
    they are not, the DROP at the end of DOCKER does it, and DOCKER-INTERNAL guards internal networks. `by_set`: an
    ipset of subnets says where bridges are, and FORWARD itself has the rules (28.0.0 alone). `routed_returns`: a routed
    network has a RETURN in nat DOCKER however it goes out (until 28.0.1).
    """

    name: str
    whole_containers: bool
    user_returns: bool
    isolation: bool = True
    by_set: bool = False
    routed_returns: bool = False

    def rules(self, host: DockerHost) -> Ruleset:
        """The rule set of such an engine for this host; IPv6's tables where they are asked for, or have a network."""
        if not self.whole_containers:
            refuse_trusted(host, self.name)
        own = self._ruleset(view4(host)) if host.iptables else untouched(self.name)
        return own.beside(self.ip6_rules(host)) if wants_ip6(host) else own

    def ip6_rules(self, host: DockerHost) -> Ruleset:
        """IPv6's tables, which such an engine writes even for a host without a network that has IPv6."""
        return self._ruleset(view6(host))

    def _ruleset(self, view: View) -> Ruleset:
        routed = view.family is FAMILY4 or view.networks  # turning forwarding on, the engine sets the policy
        tables = Tables({"FORWARD": view.forward_policy} if routed else {}, view.family.prefix)
        tables.chains("nat", ["DOCKER"])
        self._start(tables, view)
        for network in view.networks:
            self._network(tables, view, network)
            nat.network(tables, view, network, returns=self._returns(view, network))
        for attached in view.attached:
            self._container(tables, view, attached)
        return tables.ruleset(self.name, self._sets(view))

    @property
    def _guard(self) -> str:
        return _STAGE_1 if self.isolation else _INTERNAL

    @property
    def _forward(self) -> str:
        """The chain in which networks have their own rules."""
        return "FORWARD" if self.by_set else "DOCKER-FORWARD"

    def _sets(self, view: View) -> str:
        if not self.by_set:
            return ""
        name = _bridges(view)
        subnets = [network.subnet for network in view.networks if not network.internal]
        kind = "hash:net" if view.family is FAMILY4 else "hash:net family inet6"
        return "\n".join([f"create {name} {kind}", *(f"add {name} {subnet}" for subnet in subnets), ""])

    def _start(self, tables: Tables, view: View) -> None:
        apart = [_STAGE_1, _STAGE_2] if self.isolation else [_INTERNAL]
        tables.chains("filter", ["DOCKER", *apart, "DOCKER-USER"])
        nat.start(tables, view)
        tables.append("filter", "FORWARD", "-j DOCKER-USER")
        if self.by_set:
            inward = f"-m set --match-set {_bridges(view)} dst"
            tables.append("filter", "FORWARD", f"{inward} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
            tables.append("filter", "FORWARD", f"-j {self._guard}")
            tables.append("filter", "FORWARD", f"{inward} -j DOCKER")
        else:
            tables.append("filter", "FORWARD", "-j DOCKER-FORWARD")
            for chain in ("DOCKER-CT", self._guard, "DOCKER-BRIDGE"):
                tables.chains("filter", [chain])
                tables.append("filter", "DOCKER-FORWARD", f"-j {chain}")
        if self.user_returns:
            tables.append("filter", "DOCKER-USER", "-j RETURN")

    def _network(self, tables: Tables, view: View, network: Bridged) -> None:
        bridge = network.bridge
        if network.internal:
            self._internal(tables, view, network)
            return
        if not self.by_set:
            tables.append("filter", "DOCKER-CT", f"-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
            tables.append("filter", "DOCKER-BRIDGE", f"-o {bridge} -j DOCKER")
        if network.mode is GatewayMode.ROUTED:
            tables.append("filter", "DOCKER", f"-o {bridge} -p {view.family.icmp} -j ACCEPT")
        unpublished = "ACCEPT" if network.mode is GatewayMode.NAT_UNPROTECTED else "DROP"
        tables.append("filter", "DOCKER", f"! -i {bridge} -o {bridge} -j {unpublished}")
        if network.icc:
            tables.append("filter", self._forward, f"-i {bridge} -j ACCEPT")
        else:
            tables.append("filter", self._forward, f"-i {bridge} -o {bridge} -j DROP")
            tables.append("filter", self._forward, f"-i {bridge} ! -o {bridge} -j ACCEPT")
        if self.isolation:
            self._isolated(tables, network)

    @staticmethod
    def _isolated(tables: Tables, network: Bridged) -> None:
        bridge = network.bridge
        tables.append("filter", _STAGE_1, f"-i {bridge} ! -o {bridge} -j {_STAGE_2}")
        tables.insert("filter", _STAGE_2, f"-o {bridge} -j DROP")
        if network.mode is GatewayMode.ROUTED:
            tables.insert(
                "filter",
                _STAGE_1,
                f"-i {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                f"-o {bridge} -j RETURN",
            )

    def _internal(self, tables: Tables, view: View, network: Bridged) -> None:
        bridge = network.bridge
        among = "ACCEPT" if network.icc else "DROP"
        tables.append("filter", self._forward, f"-i {bridge} -o {bridge} -j {among}")
        tables.insert("filter", self._guard, *nat.internal(network, guarded=view.family is FAMILY6))

    def _returns(self, view: View, network: Bridged) -> bool:
        """Whether a network's containers are not translated when they ask for the host's ports."""
        routed = self.routed_returns and network.mode is GatewayMode.ROUTED
        return routed or (self.isolation and network.masquerade and view.userland_proxy)

    def _container(self, tables: Tables, view: View, attached: NetworkAttachment) -> None:
        network = attached.network
        if network.internal:
            return
        to_it = f"-d {attached.address}/{view.family.bits}"
        protected = network.mode is GatewayMode.NAT and not view.direct_routing
        if protected and self.whole_containers:
            for interface in network.trusted:
                tables.append("raw", "PREROUTING", f"{to_it} -i {interface} -j ACCEPT")
            tables.append("raw", "PREROUTING", f"{to_it} ! -i {network.bridge} -j DROP")
        proxied = set(attached.proxied)
        for port in sorted((*attached.published, *attached.proxied), key=by_container):
            self._raw(tables, view, attached, port)
            if port not in proxied:
                self._port(tables, view, attached, port)

    def _raw(self, tables: Tables, view: View, attached: NetworkAttachment, port: PublishedPort) -> None:
        """What keeps others from a port on the host's loopback, and, until 28.1, from one of the container's own."""
        network, match = attached.network, f"-p {port.protocol} -m {port.protocol} --dport"
        translated = network.mode is not GatewayMode.ROUTED
        if translated and port.on_loopback and port.in_version(4):  # the kernel takes none from outside for ::1
            to_host = f"-d {port.address}/32 ! -i lo {match} {port.host}"
            tables.append("raw", "PREROUTING", f"{to_host} -j DROP")
        if network.mode is GatewayMode.NAT and not self.whole_containers:
            to_it = f"-d {attached.address}/{view.family.bits} ! -i {network.bridge} {match} {port.container}"
            tables.append_once("raw", "PREROUTING", f"{to_it} -j DROP")

    @staticmethod
    def _port(tables: Tables, view: View, attached: NetworkAttachment, port: PublishedPort) -> None:
        nat.port(tables, view, attached, port, but=_FROM_THE_LINK if view.family is FAMILY6 else "")
        if attached.network.mode is not GatewayMode.NAT_UNPROTECTED:
            tables.insert_once("filter", "DOCKER", nat.accepted(view, attached, port))
        if attached.network.mode is not GatewayMode.ROUTED and not view.userland_proxy:
            nat.hairpin(tables, view, attached, port)


def _bridges(view: View) -> str:
    """The set of subnets with a bridge."""
    return f"docker-ext-bridges-v{view.family.version}"
