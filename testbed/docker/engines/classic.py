"""The rules of engines 20.10 to 27 ("classic"), as 20.10.24 and 26.1.5 were seen to install them.

For IPv4 both write the same; for IPv6 the later one has DOCKER-USER too, and spares what crosses no bridge.

Bridge rules stand in FORWARD itself. What belongs to a network is inserted at the head of its chain when the network
is made, so the newest network comes first; what belongs to a port, and the DROP of a network without icc, is appended.
"""

from __future__ import annotations

from testbed.docker.engines import nat
from testbed.docker.engines.order import by_host
from testbed.docker.engines.tables import Tables, untouched
from testbed.docker.engines.view import FAMILY4, FAMILY6, Bridged, View, view4, view6
from testbed.docker.host import DockerHost, GatewayMode
from testbed.errors import TopologyError
from testbed.rules.ruleset import Ruleset

_STAGE_1, _STAGE_2 = "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2"


def rules(host: DockerHost, name: str = "20.10") -> Ruleset:
    """The rule set of such an engine; TopologyError for a gateway mode that it does not have.

    Before 27 ip6tables has to be asked for (`ip6tables`, an experimental option), so here it is off unless it is.
    """
    for network in host.networks:
        for mode in (network.mode, network.mode6):
            if mode is not GatewayMode.NAT:
                raise TopologyError(
                    f"{network.bridge}: the classic engines have no gateway mode {mode.value}.",
                    "Choose an engine from 28 on, or the mode nat.",
                )
    source = f"the rules of engine {name}"
    own = _written(view4(host), later=True).ruleset(source) if host.iptables else untouched(source)
    if not (host.ipv6 and host.ip6tables):
        return own
    return own.beside(_written(view6(host), later=name != "20.10").ruleset(source))


def _written(view: View, later: bool) -> Tables:
    tables = Tables({"FORWARD": view.forward_policy}, view.family.prefix)
    user = ["DOCKER-USER"] if later else []
    tables.chains("filter", ["DOCKER", _STAGE_1, _STAGE_2, *user])
    tables.chains("nat", ["DOCKER"])
    if view.family is FAMILY4 or not all(network.internal for network in view.networks):
        nat.start(tables, view)
    for chain in (_STAGE_1, _STAGE_2, *user):
        tables.append("filter", chain, "-j RETURN")
    for network in view.bridges:
        _isolated(tables, network, guarded=view.family is FAMILY6 and later)
    for network in view.networks:
        _network(tables, network)
        nat.network(tables, view, network, returns=True)
    tables.insert("filter", "FORWARD", *(f"-j {chain}" for chain in (*user, _STAGE_1)))
    for attached in view.attached:
        for port in sorted(attached.published if not attached.network.internal else (), key=by_host):
            nat.port(tables, view, attached, port)
            tables.append_once("filter", "DOCKER", nat.accepted(view, attached, port))
            nat.hairpin(tables, view, attached, port)
    return tables


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
