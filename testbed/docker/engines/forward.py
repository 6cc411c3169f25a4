"""The rules of engines from 28.0.0 on that speak iptables: FORWARD hands over to DOCKER-FORWARD.

Read off moby's own listings of its rules (integration/network/bridge/iptablesdoc at tags 28.0.0 to 29.7.2) and off a
real 28.5.2. What tells the generations apart is a `Generation`; all else they share.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.docker.engines import nat
from testbed.docker.engines.tables import Tables
from testbed.docker.host import Container, DockerHost, GatewayMode, Network, PublishedPort
from testbed.rules.ruleset import Ruleset

_STAGE_1, _STAGE_2, _INTERNAL = "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2", "DOCKER-INTERNAL"
_BRIDGES = "docker-ext-bridges-v4"


@dataclass(frozen=True, slots=True)
class Generation:
    """What such an engine does its own way.

    `whole_containers`: raw PREROUTING drops every packet sent straight to a container, not only those to published
    ports. `user_returns`: DOCKER-USER ends in RETURN. `isolation`: bridges are kept apart by the two stages; where
    they are not, the DROP at the end of DOCKER does it, and DOCKER-INTERNAL guards internal networks. `by_set`: an
    ipset of subnets says where bridges are, and FORWARD itself has the rules (28.0.0 alone).
    """

    name: str
    whole_containers: bool
    user_returns: bool
    isolation: bool = True
    by_set: bool = False

    def rules(self, host: DockerHost) -> Ruleset:
        """The rule set of such an engine for this host."""
        tables = Tables({"FORWARD": "DROP"})
        self._start(tables, host)
        for network in host.networks:
            self._network(tables, network)
            nat.network(tables, host, network, returns=self.isolation)
        for container in host.containers:
            self._container(tables, host, container)
        return tables.ruleset(f"the rules of engine {self.name}", self._sets(host))

    @property
    def _guard(self) -> str:
        return _STAGE_1 if self.isolation else _INTERNAL

    @property
    def _forward(self) -> str:
        """The chain in which networks have their own rules."""
        return "FORWARD" if self.by_set else "DOCKER-FORWARD"

    def _sets(self, host: DockerHost) -> str:
        if not self.by_set:
            return ""
        subnets = [network.subnet for network in host.networks if not network.internal]
        return "\n".join([f"create {_BRIDGES} hash:net", *(f"add {_BRIDGES} {subnet}" for subnet in subnets), ""])

    def _start(self, tables: Tables, host: DockerHost) -> None:
        apart = [_STAGE_1, _STAGE_2] if self.isolation else [_INTERNAL]
        tables.chains("filter", ["DOCKER", *apart, "DOCKER-USER"])
        nat.start(tables, host)
        tables.append("filter", "FORWARD", "-j DOCKER-USER")
        if self.by_set:
            inward = f"-m set --match-set {_BRIDGES} dst"
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

    def _network(self, tables: Tables, network: Network) -> None:
        bridge = network.bridge
        if network.internal:
            self._internal(tables, network)
            return
        if not self.by_set:
            tables.append("filter", "DOCKER-CT", f"-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
            tables.append("filter", "DOCKER-BRIDGE", f"-o {bridge} -j DOCKER")
        if network.mode is GatewayMode.ROUTED:
            tables.append("filter", "DOCKER", f"-o {bridge} -p icmp -j ACCEPT")
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
    def _isolated(tables: Tables, network: Network) -> None:
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

    def _internal(self, tables: Tables, network: Network) -> None:
        bridge = network.bridge
        among = "ACCEPT" if network.icc else "DROP"
        tables.append("filter", self._forward, f"-i {bridge} -o {bridge} -j {among}")
        tables.insert(
            "filter",
            self._guard,
            f"! -s {network.subnet} -o {bridge} -j DROP",
            f"! -d {network.subnet} -i {bridge} -j DROP",
        )

    def _container(self, tables: Tables, host: DockerHost, container: Container) -> None:
        network = container.network
        if network.internal:
            return
        protected = network.mode is GatewayMode.NAT
        to_it = f"-d {container.address}/32 ! -i {network.bridge}"
        if protected and self.whole_containers:
            tables.append("raw", "PREROUTING", f"{to_it} -j DROP")
        for port in sorted(container.published, key=_order):
            if protected and not self.whole_containers:
                match = f"-p {port.protocol} -m {port.protocol} --dport {port.container}"
                tables.append_once("raw", "PREROUTING", f"{to_it} {match} -j DROP")
            self._port(tables, host, container, port)

    @staticmethod
    def _port(tables: Tables, host: DockerHost, container: Container, port: PublishedPort) -> None:
        nat.port(tables, host, container, port)
        if container.network.mode is not GatewayMode.NAT_UNPROTECTED:
            tables.insert_once("filter", "DOCKER", nat.accepted(container, port))
        if container.network.mode is GatewayMode.ROUTED:
            return
        if not host.userland_proxy:
            nat.hairpin(tables, container, port)
        if port.on_loopback:
            match = f"-p {port.protocol} -m {port.protocol} --dport {port.host}"
            tables.append("raw", "PREROUTING", f"-d {port.address}/32 ! -i lo {match} -j DROP")


def _order(port: PublishedPort) -> tuple[int, str, int, int]:
    """Of one container's ports the lowest of the container comes first, then the lowest of the host."""
    return port.container, port.protocol, port.host, int(port.address)
