"""The rules of engines 20.10 to 27 ("classic"), as 20.10.24 and 26.1.5 were seen to install them.

For IPv4 those before 27 write the same, for IPv6 not (moby, libnetwork/firewall_linux.go: arrangeUserFilterRule,
libnetwork/drivers/bridge/setup_ip_tables.go: setupInternalNetworkRules). What tells them apart is a `Classic`.

Bridge rules stand in FORWARD itself. What belongs to a network is inserted at the head of its chain when the network
is made, so the newest network comes first; what belongs to a port, and the DROP of a network without icc, is appended.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from testbed.docker.engines import nat
from testbed.docker.engines.order import by_container, by_host
from testbed.docker.engines.tables import Tables, untouched
from testbed.docker.engines.view import FAMILY4, FAMILY6, Bridged, NetworkAttachment, View, refuse_trusted, view4, view6
from testbed.docker.host import Container, DockerHost, GatewayMode, Network, PublishedPort
from testbed.errors import TopologyError
from testbed.rules.ruleset import Ruleset

_STAGE_1, _STAGE_2 = "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2"


@dataclass(frozen=True, slots=True)
class Classic:
    """What such an engine does its own way.

    `user6`: ip6tables has DOCKER-USER too. `guarded6`: an internal network's rules spare packets that cross no bridge
    in IPv6. `own_snat6`: host_ipv6 exists, and host_ipv4 is no address for IPv6. `routed`: networks can be routed, as
    in 27, which takes ports in the order of the container's and writes ip6tables' rules unasked.
    """

    name: str
    user6: bool = True
    guarded6: bool = True
    own_snat6: bool = True
    routed: bool = False

    def rules(self, host: DockerHost) -> Ruleset:
        """The rule set of such an engine; TopologyError for what it refuses, like a gateway mode it does not have.

        Before 27 ip6tables has to be asked for (`ip6tables`, an experimental option), so there it is off unless it is.
        """
        refuse_trusted(host, self.name)
        for network in host.networks:
            self._refuse_modes(network)
            self._refuse_snat(network, host.ip6tables is True)
        for container in host.containers:
            _refuse_ports(container)
        own = self._written(view4(host), user=True).ruleset(self.name) if host.iptables else untouched(self.name)
        if not host.ipv6 or not (self.routed if host.ip6tables is None else host.ip6tables):
            return own
        switched_on = replace(host, forwards=())  # IPv6's policy is set whatever the host did (setup_ip_forwarding.go)
        return own.beside(self._written(view6(switched_on), user=self.user6).ruleset(self.name))

    def _refuse_modes(self, network: Network) -> None:
        known = (GatewayMode.NAT, GatewayMode.ROUTED) if self.routed else (GatewayMode.NAT,)
        for mode in (network.mode, network.mode6):
            if mode not in known:
                newer = "28" if self.routed or mode is not GatewayMode.ROUTED else "27"
                raise TopologyError(
                    f"{network.bridge}: engine {self.name} has no gateway mode {mode.value}.",
                    f"Choose an engine from {newer} on, or the mode nat.",
                )

    def _refuse_snat(self, network: Network, ip6tables: bool) -> None:
        if self.own_snat6:
            return
        if network.snat6 is not None:
            raise TopologyError(
                f"{network.bridge}: engine {self.name} does not know host_ipv6.", "Choose an engine from 25 on."
            )
        if network.snat is not None and network.gateway6 is not None and ip6tables:
            raise TopologyError(
                f"{network.bridge}: engine {self.name} would give ip6tables the address {network.snat}, and fail.",
                "Choose an engine from 25 on, or a network without IPv6.",
            )

    def _written(self, view: View, user: bool) -> Tables:
        tables = Tables({"FORWARD": view.forward_policy}, view.family.prefix)
        users = ["DOCKER-USER"] if user else []
        tables.chains("filter", ["DOCKER", _STAGE_1, _STAGE_2, *users])
        tables.chains("nat", ["DOCKER"])
        if view.family is FAMILY4 or not all(network.internal for network in view.networks):
            nat.start(tables, view)
        for chain in (_STAGE_1, _STAGE_2, *users):
            tables.append("filter", chain, "-j RETURN")
        for network in view.bridges:
            _isolated(tables, network, guarded=view.family is FAMILY6 and self.guarded6)
        for network in view.networks:
            _network(tables, network)
            translated = network.masquerade and network.mode is not GatewayMode.ROUTED
            nat.network(tables, view, network, returns=translated and view.userland_proxy)
        tables.insert("filter", "FORWARD", *(f"-j {chain}" for chain in (*users, _STAGE_1)))
        order = by_container if self.routed else by_host
        for attached in view.attached:
            for port in sorted(attached.published if not attached.network.internal else (), key=order):
                _port(tables, view, attached, port)
        return tables


def _refuse_ports(container: Container) -> None:
    """Raise TopologyError for a port of the host on a network that translates none (moby: validatePortBindings)."""
    gateway = container.gateway
    if gateway is None:
        return
    routed4, routed6 = (mode is GatewayMode.ROUTED for mode in (gateway.network.mode, gateway.network.mode6))
    for port in container.published:
        specific = port.address is not None and not port.everywhere
        of4 = routed4 and specific and port.in_version(4)
        of6 = routed6 and specific and port.in_version(6) and gateway.address6 is not None
        if of4 or of6 or (routed4 and routed6):
            raise TopologyError(
                f"{container.name} publishes {port}, but {gateway.network.bridge} is routed, and engine 27 refuses"
                " ports of the host there.",
                "Choose an engine from 28 on, or the mode nat.",
            )


def _port(tables: Tables, view: View, attached: NetworkAttachment, port: PublishedPort) -> None:
    nat.port(tables, view, attached, port)
    tables.append_once("filter", "DOCKER", nat.accepted(view, attached, port))
    if attached.network.mode is not GatewayMode.ROUTED:
        nat.hairpin(tables, view, attached, port)
    if port.protocol == "sctp":
        match = f"-p sctp -m sctp --sport {port.container}"
        tables.append_once("mangle", "POSTROUTING", f"{match} -j CHECKSUM --checksum-fill")


def _isolated(tables: Tables, network: Bridged, guarded: bool) -> None:
    """What keeps a bridge apart from others; in IPv6 too where the network itself has none."""
    bridge = network.bridge
    if not network.internal:
        tables.insert("filter", _STAGE_1, f"-i {bridge} ! -o {bridge} -j {_STAGE_2}")
        tables.insert("filter", _STAGE_2, f"-o {bridge} -j DROP")
    elif network.subnet is not None:
        tables.insert("filter", _STAGE_1, *nat.internal(network, guarded))


def _network(tables: Tables, network: Bridged) -> None:
    bridge = network.bridge
    among = [f"-i {bridge} -o {bridge} -j ACCEPT"] if network.icc else []
    if not network.icc:
        tables.append("filter", "FORWARD", f"-i {bridge} -o {bridge} -j DROP")
    if network.internal:
        tables.insert("filter", "FORWARD", *among)
        return
    tables.insert(
        "filter",
        "FORWARD",
        f"-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        f"-o {bridge} -j DOCKER",
        f"-i {bridge} ! -o {bridge} -j ACCEPT",
        *among,
    )
