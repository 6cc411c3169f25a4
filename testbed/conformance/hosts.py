"""The hosts that are built on a real engine: the article's, and one for each option that changes an engine's rules."""

from __future__ import annotations

from testbed.docker import article, hostfile
from testbed.docker.article_surroundings import SURROUNDINGS
from testbed.docker.host import DockerHost

_OPTION = "com.docker.network.bridge."

_ONE = "services: {web: {network_mode: bridge, ports: ['80:80']}}"
_TWO = "services: {web: {network_mode: bridge, ports: ['80:80']}, other: {network_mode: bridge}}"
_NO_PROXY = "daemon: {userland-proxy: false}\n"


def _network(option: str, value: str, *, internal: bool = False) -> str:
    """Return a host with docker0 and a network with one driver option; a container on each publishes a port."""
    return (
        f"networks: {{back: {{internal: {str(internal).lower()}, driver_opts: {{{_OPTION}{option}: '{value}'}}}}}}\n"
        "services: {web: {network_mode: bridge, ports: ['80:80']}, app: {networks: [back], ports: ['8082:80']}}"
    )


def _other_option(option: str, value: str) -> str:
    """Return the same with an option that is not of bridges alone."""
    return _network("name", "br-back").replace(f"{_OPTION}name: 'br-back'", f"com.docker.network.{option}: '{value}'")


_LOOPBACK_AND_UDP = """services:
  web: {network_mode: bridge, ports: ['80:80']}
  lo8081: {network_mode: bridge, ports: ['127.0.0.1:8081:80']}
  udp: {network_mode: bridge, ports: ['5353:53/udp']}
"""
# Ports that an engine before 28 orders at random (5353:53 and 99:99 of one container) are not among these. To
# portMapSorter.Less (docker/go-connections, nat/sort.go) each of the two comes before the other.
_EVERY_KIND = """services:
  web: {network_mode: bridge, ports: ['80:80']}
  many:
    network_mode: bridge
    ports: ['127.0.0.1:8081:80', 'ADDRESS:8082:80', '5353:53/udp', '9000-9002:9000-9002']
  both: {network_mode: bridge, ports: ['9900:9900', '9900:9900/udp']}
"""
_THREE_NETWORKS = """networks: {one: {}, two: {}, three: {}}
services:
  c1: {networks: [three], ports: ['81:80']}
  c2: {networks: [one], ports: ['82:80']}
  c3: {networks: [two], ports: ['83:80']}
"""
_OWN_GATEWAY = """networks: {back: {ipam: {config: [{subnet: 10.1.0.0/24, gateway: 10.1.0.254}]}}}
services: {app: {networks: {back: {ipv4_address: 10.1.0.7}}, ports: ['8082:80']}}
"""
_INTERNAL = """networks: {inside: {internal: true}}
services: {web: {network_mode: bridge, ports: ['80:80']}, in1: {networks: [inside], ports: ['8083:80']}}
"""

_ISOLATED = """networks:
  inside: {internal: true, driver_opts: {com.docker.network.bridge.gateway_mode_ipv4: isolated}}
  apart:
    internal: true
    ipam: {config: [{subnet: 10.1.0.0/24, gateway: 10.1.0.1}]}
    driver_opts:
      com.docker.network.bridge.gateway_mode_ipv4: isolated
      com.docker.network.bridge.enable_icc: 'false'
services:
  web: {network_mode: bridge, ports: ['80:80']}
  in1: {networks: [inside], ports: ['8083:80']}
  in2: {networks: [inside]}
  alone1: {networks: [apart]}
  alone2: {networks: [apart]}
"""
_ISOLATED6 = """networks:
  six:
    enable_ipv6: true
    internal: true
    ipam: {config: [{subnet: 10.6.0.0/24}, {subnet: '2001:db8:1::/64'}]}
    driver_opts: {com.docker.network.bridge.gateway_mode_ipv6: isolated}
  both:
    enable_ipv6: true
    internal: true
    ipam: {config: [{subnet: 10.7.0.0/24}, {subnet: '2001:db8:2::/64'}]}
    driver_opts:
      com.docker.network.bridge.gateway_mode_ipv4: isolated
      com.docker.network.bridge.gateway_mode_ipv6: isolated
services: {in1: {networks: [six]}, in2: {networks: [six]}, in3: {networks: [both]}, in4: {networks: [both]}}
"""

_IPV6 = """networks:
  six:
    enable_ipv6: true
    ipam: {config: [{subnet: 10.6.0.0/24}, {subnet: '2001:db8:1::/64'}]}
services:
  web: {networks: [six], ports: ['80:80', '0.0.0.0:84:80', '[::]:86:80']}
  dns: {networks: [six], ports: ['5353:53/udp']}
  lo: {networks: [six], ports: ['[::1]:8081:80', '[IPV6_ADDRESS]:8082:80']}
  four: {network_mode: bridge, ports: ['8084:80']}
"""
_ON_DOCKER0 = """services:
  web: {network_mode: bridge, ports: ['80:80', '0.0.0.0:84:80', '[::]:86:80']}
  dns: {network_mode: bridge, ports: ['5353:53/udp', '[::1]:8081:80']}
  app: {networks: [six], ports: ['8082:80']}
networks: {six: {enable_ipv6: true, ipam: {config: [{subnet: 10.6.0.0/24}, {subnet: '2001:db8:1::/64'}]}}}
"""
_SIX_BESIDE_FOUR = """networks:
  aa: {}
  zz: {enable_ipv6: true, ipam: {config: [{subnet: 10.6.0.0/24}, {subnet: '2001:db8:1::/64'}]}}
services:
  web: {networks: [aa, zz], ports: ['80:80']}
  app: {networks: [zz, aa], ports: ['[::]:8082:80', '8083:83/udp']}
"""
_ROUTED6 = """networks:
  six:
    enable_ipv6: true
    ipam: {config: [{subnet: 10.6.0.0/24}, {subnet: '2001:db8:1::/64'}]}
    driver_opts: {com.docker.network.bridge.gateway_mode_ipv6: routed}
services: {web: {networks: [six], ports: ['80:80']}}
"""
_INTERNAL6 = """networks:
  six:
    enable_ipv6: true
    internal: true
    ipam: {config: [{subnet: 10.6.0.0/24}, {subnet: '2001:db8:1::/64'}]}
services: {web: {networks: [six], ports: ['80:80']}}
"""
_ON_TWO = """networks: {aa: {}, zz: {}, inside: {internal: true}}
services:
  there: {networks: [zz, aa], ports: ['81:80']}
  back: {networks: [aa, zz], ports: ['82:80', '127.0.0.1:83:80']}
  in1: {networks: [inside, zz], ports: ['84:80', '5353:5353/udp']}
  in2: {networks: [zz, inside], ports: ['85:80']}
  in3: {networks: [inside], ports: ['86:80']}
"""
_MIXED = """networks:
  back: {internal: true}
  front: {driver_opts: {com.docker.network.bridge.enable_icc: 'false'}}
  shop: {enable_ipv6: true, ipam: {config: [{subnet: 10.6.0.0/24}, {subnet: '2001:db8:1::/64'}]}}
services:
  web: {networks: [front], ports: ['80:8080', '443:8443']}
  app: {networks: [shop, back], ports: ['ADDRESS:8081:80', '[::]:8082:82']}
  dns: {network_mode: bridge, ports: ['53:53/udp', '127.0.0.1:9053:53']}
  many: {networks: [shop], ports: ['9000-9002:9000-9002']}
  idle: {network_mode: bridge}
  db: {networks: [back], ports: ['5432:5432']}
"""
_IPV6_ON_DOCKER0 = "ipv6: true, fixed-cidr-v6: '2001:db8:17::/64'"
_IP6TABLES = "daemon: {ip6tables: true, experimental: true}\n"

_ADDRESS, _ADDRESS6 = "ADDRESS", "IPV6_ADDRESS"  # stand for the host's own addresses

# Each as the text of a host file (testbed/docker/hostfile.py).
_DESCRIBED = {
    "no container": "daemon: {}",
    "two containers on docker0": _TWO,
    "no iptables": "daemon: {iptables: false}\n" + _TWO,
    "no iptables, no proxy": "daemon: {iptables: false, userland-proxy: false}\n" + _ONE,
    "docker0 elsewhere": "daemon: {bip: 10.9.8.1/24}\n" + _ONE,
    "docker0 without icc": "daemon: {icc: false}\n" + _TWO,
    "docker0 without masquerade": "daemon: {ip-masq: false}\n" + _ONE,
    "one address of the host": "services: {web: {network_mode: bridge, ports: ['ADDRESS:80:80']}}",
    "loopback and UDP": _LOOPBACK_AND_UDP,
    "loopback and UDP without proxy": _NO_PROXY + _LOOPBACK_AND_UDP,
    "ports of every kind": _EVERY_KIND,
    "internal network": _INTERNAL,
    "internal network without proxy": _NO_PROXY + _INTERNAL,
    "internal network without icc": _network("enable_icc", "false", internal=True),
    "network without icc": _network("enable_icc", "false"),
    "network without masquerade": _network("enable_ip_masquerade", "false"),
    "the same without proxy": _NO_PROXY + _network("enable_ip_masquerade", "false"),
    "network with its own gateway": _OWN_GATEWAY,
    "three networks": _THREE_NETWORKS,
    "three networks without proxy": _NO_PROXY + _THREE_NETWORKS,
    "IPv6": _IPV6,
    "IPv6 with ip6tables": _IP6TABLES + _IPV6,
    "IPv6 without ip6tables": "daemon: {ip6tables: false}\n" + _IPV6,
    "IPv6 with ip6tables, without proxy": _IP6TABLES.replace("{", "{userland-proxy: false, ") + _IPV6,
    "IPv6 on docker0": f"daemon: {{{_IPV6_ON_DOCKER0}}}\n" + _ON_DOCKER0,
    "IPv6 on docker0 with ip6tables": f"daemon: {{ip6tables: true, {_IPV6_ON_DOCKER0}}}\n" + _ON_DOCKER0,
    "IPv6 on docker0 without icc, without proxy": (
        f"daemon: {{ip6tables: true, icc: false, userland-proxy: false, {_IPV6_ON_DOCKER0}}}\n" + _ON_DOCKER0
    ),
    "IPv6 on an internal network": _IP6TABLES + _INTERNAL6,
    "IPv6 in gateway mode routed": _ROUTED6,
    "containers on two networks": _ON_TWO,
    "containers on two networks, without proxy": _NO_PROXY + _ON_TWO,
    "a bit of everything": _MIXED,
    "an IPv6 network beside one without": _SIX_BESIDE_FOUR,
    "an IPv6 network beside one without, ip6tables": _IP6TABLES + _SIX_BESIDE_FOUR,
    "network with an MTU": _other_option("driver.mtu", "1400"),
    "network under an address of the host": _other_option("host_ipv4", _ADDRESS),
    "network whose bridge has no address": _network("inhibit_ipv4", "true"),
    "network that trusts an interface": _network("trusted_host_interfaces", SURROUNDINGS.main.name),
    "gateway mode nat-unprotected": _network("gateway_mode_ipv4", "nat-unprotected"),
    "gateway mode routed": _network("gateway_mode_ipv4", "routed"),
    "gateway mode isolated": _ISOLATED,
    "gateway mode isolated without proxy": _NO_PROXY + _ISOLATED,
    "gateway mode isolated in IPv6": _ISOLATED6,
    "gateway mode routed without proxy": _NO_PROXY + _network("gateway_mode_ipv4", "routed"),
}


def known() -> dict[str, DockerHost]:
    """Return every known host by its name."""
    own, own6 = (str(address.ip) for address in SURROUNDINGS.main.addresses)
    texts = {name: text.replace(_ADDRESS6, own6).replace(_ADDRESS, own) for name, text in _DESCRIBED.items()}
    return {
        "the article's": article.HOST,
        "the article's without proxy": article.HOST_WITHOUT_PROXY,
        "the article's and a second network": article.HOST_WITH_TWO_NETWORKS,
        **{name: hostfile.parse(text, f"the host {name}") for name, text in texts.items()},
    }
