"""How an engine builds the networks of a host, beside its rules."""

from __future__ import annotations

from dataclasses import dataclass, replace

from testbed.docker.host import DockerHost, Network


@dataclass(frozen=True, slots=True)
class Building:
    """How an engine builds internal networks.

    `default_route`: containers have one by the bridge, so that the rules drop what they send elsewhere (until 24; moby
    cbc2a71c27). `bridge_address`: the bridge has its address of IPv4 (not in 25.0.0 to 25.0.3; moby,
    libnetwork/drivers/bridge/setup_ipv4_linux.go).
    """

    default_route: bool = False
    bridge_address: bool = True

    def built(self, host: DockerHost) -> DockerHost:
        """Return the host as such an engine builds it."""
        networks = {network: self._network(network) for network in host.networks}
        containers = tuple(
            replace(
                container,
                network=networks[container.network],
                also=tuple(replace(own, network=networks[own.network]) for own in container.also),
            )
            for container in host.containers
        )
        return replace(host, networks=tuple(networks.values()), containers=containers)

    def _network(self, network: Network) -> Network:
        if not network.internal:
            return network
        return replace(network, routes_out=self.default_route, addressed=network.addressed and self.bridge_address)


AS_BUILT = Building()  # by engines since 25.0.4
