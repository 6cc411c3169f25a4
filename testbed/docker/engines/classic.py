"""The rules of engines 20.10 to 27 ("classic"), as 20.10.24 and 26.1.5 were seen to install them.

Bridge rules stand in FORWARD itself. What belongs to a network is inserted at the head of its chain when the network
is made, so the newest network comes first; what belongs to a port, and the DROP of a network without icc, is appended.
"""

from __future__ import annotations

from testbed.docker.engines import nat
from testbed.docker.engines.tables import Tables
from testbed.docker.host import DockerHost, GatewayMode, Network, PublishedPort
from testbed.errors import TopologyError
from testbed.rules.ruleset import Ruleset

_STAGE_1, _STAGE_2 = "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2"


def rules(host: DockerHost) -> Ruleset:
    """The rule set of such an engine; TopologyError for a gateway mode that it does not have."""
    tables = Tables({"FORWARD": "DROP"})
    tables.chains("filter", ["DOCKER", _STAGE_1, _STAGE_2, "DOCKER-USER"])
    nat.start(tables, host)
    for chain in (_STAGE_1, _STAGE_2, "DOCKER-USER"):
        tables.append("filter", chain, "-j RETURN")
    for network in host.networks:
        if network.mode is not GatewayMode.NAT:
            raise TopologyError(
                f"{network.bridge}: the classic engines have no gateway mode {network.mode.value}.",
                "Choose an engine from 28 on, or the mode nat.",
            )
        _network(tables, network)
        nat.network(tables, host, network, returns=True)
    tables.insert("filter", "FORWARD", "-j DOCKER-USER", f"-j {_STAGE_1}")
    for container in host.containers:
        for port in sorted(container.published if not container.network.internal else (), key=_order):
            nat.port(tables, host, container, port)
            tables.append_once("filter", "DOCKER", nat.accepted(container, port))
            nat.hairpin(tables, container, port)
    return tables.ruleset("the rules of engine 20.10")


def _order(port: PublishedPort) -> tuple[int, int, bool]:
    """Of one container's ports the highest of the host comes first (docker/go-connections, nat/sort.go).

    Where the host's and the container's numbers are at odds (82:80 and 99:99), the engine's own order is one of chance:
    its comparison says of such pairs that each comes before the other.
    """
    return -port.host, -port.container, port.protocol != "tcp"


def _network(tables: Tables, network: Network) -> None:
    bridge = network.bridge
    among = [f"-i {bridge} -o {bridge} -j ACCEPT"] if network.icc else []
    if not network.icc:
        tables.append("filter", "FORWARD", f"-i {bridge} -o {bridge} -j DROP")
    if network.internal:
        tables.insert("filter", "FORWARD", *among)
        tables.insert(
            "filter",
            _STAGE_1,
            f"! -s {network.subnet} -o {bridge} -j DROP",
            f"! -d {network.subnet} -i {bridge} -j DROP",
        )
        return
    tables.insert(
        "filter",
        "FORWARD",
        f"-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        f"-o {bridge} -j DOCKER",
        f"-i {bridge} ! -o {bridge} -j ACCEPT",
        *among,
    )
    tables.insert("filter", _STAGE_1, f"-i {bridge} ! -o {bridge} -j {_STAGE_2}")
    tables.insert("filter", _STAGE_2, f"-o {bridge} -j DROP")
