"""Single edits of what engine 28.5 writes, on a host with two networks: each is found, or changes nothing."""

from __future__ import annotations

import pytest
from edits import changes, edited, kinds_and_witness, named

from testbed.behaviour.difference import ANSWERED, CLOSED, MOVED, OPENED, TRANSLATED
from testbed.docker import hostfile
from testbed.docker.engines import engine

HOST = hostfile.parse(
    """
networks: {back: {driver_opts: {com.docker.network.bridge.name: back, com.docker.network.bridge.enable_icc: 'false'}}}
services:
  web: {network_mode: bridge, ports: ['80:80']}
  other: {network_mode: bridge}
  app: {networks: [back], ports: ['81:80', '127.0.0.1:82:81']}
  db: {networks: [back]}
"""
)
RULES = engine("28.5").rules(HOST)
GUARD_OF_WEB = "-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP"
ICC = "-A DOCKER-FORWARD -i back -o back -j DROP\n"
OUTPUT = "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER"
# As in test_behaviours.py; where only rules change places, or nothing happens, it is said why.
EDITS = [
    (
        "-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED",
        "-A DOCKER-CT -o docker0 -m conntrack --ctstate ESTABLISHED",
        [ANSWERED],
        "other tcp 203.0.113.10:9",
    ),
    (f"{GUARD_OF_WEB}\n", "", [OPENED, MOVED], "client tcp 172.17.0.2:80 handed to the host"),
    # all ports but the published one are dropped by DOCKER or by the isolation anyway
    (GUARD_OF_WEB, GUARD_OF_WEB.replace("-j", "-p tcp -m tcp --dport 80 -j"), [MOVED], "app icmp 172.17.0.2"),
    (GUARD_OF_WEB, GUARD_OF_WEB.replace(" ! -i docker0", ""), [CLOSED, ANSWERED, MOVED], "other icmp 172.17.0.2"),
    (
        "-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 82 -j DROP\n",
        "",
        [OPENED],
        "client tcp 127.0.0.1:82 handed to the host",
    ),
    ("-A FORWARD -j DOCKER-USER\n", "", [], ""),  # there is nothing in DOCKER-USER
    (":FORWARD DROP", ":FORWARD ACCEPT", [OPENED], "client icmp 203.0.113.10 handed to the host"),
    (
        "-A DOCKER -d 172.18.0.2/32 ! -i back -o back -p tcp -m tcp --dport 80 -j ACCEPT\n",
        "",
        [CLOSED],
        "client tcp 127.0.0.1:81 handed to the host",
    ),
    # it is published on 127.0.0.1: raw drops what would come here, and the host's own calls are not forwarded
    ("-A DOCKER -d 172.18.0.2/32 ! -i back -o back -p tcp -m tcp --dport 81 -j ACCEPT\n", "", [], ""),
    # what it drops would be dropped by FORWARD's policy
    ("-A DOCKER ! -i docker0 -o docker0 -j DROP\n", "", [MOVED], "client icmp 172.17.255.254 handed to the host"),
    (
        "-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n",
        "",
        [ANSWERED],
        "other icmp 203.0.113.10",
    ),
    (ICC, "", [MOVED], "app icmp 172.18.0.3"),  # the rule behind it is for other bridges, then comes the policy
    (ICC, ICC.replace("DROP", "ACCEPT"), [OPENED], "app icmp 172.18.0.3"),
    (
        "-A DOCKER-FORWARD -i docker0 -j ACCEPT",
        "-A DOCKER-FORWARD -i docker0 ! -o docker0 -j ACCEPT",
        [CLOSED, MOVED],
        "other icmp 172.17.0.2",
    ),
    # DOCKER drops what comes from another bridge, too
    ("-A DOCKER-ISOLATION-STAGE-2 -o back -j DROP\n", "", [MOVED], "other icmp 172.18.255.254"),
    (
        "-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP",
        "-A DOCKER-ISOLATION-STAGE-2 -o ens33 -j DROP",
        [CLOSED, ANSWERED, MOVED],
        "app icmp 203.0.113.10",
    ),
    (OUTPUT, OUTPUT.replace("! -d 127.0.0.0/8 ", ""), [CLOSED], "host tcp 127.0.0.1:80"),
    (f"{OUTPUT}\n", "", [TRANSLATED], "host tcp 172.17.0.1:80"),
    (
        "-A DOCKER -d 127.0.0.1/32 ! -i back -p tcp -m tcp --dport 82",
        "-A DOCKER ! -i back -p tcp -m tcp --dport 82",
        [TRANSLATED],
        "client tcp 172.17.0.1:82 handed to the host",
    ),
    # a container's call of another's port at its bridge's address is translated then, and the isolation drops it
    ("-A DOCKER -i back -j RETURN\n", "", [CLOSED], "app tcp 172.17.0.1:80"),
    (
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A PREROUTING -j DOCKER",
        [OPENED],
        "client tcp 172.17.255.254:80 handed to the host",
    ),
]


@pytest.mark.parametrize(("old", "new", "kinds", "witness"), EDITS, ids=named(EDITS))
def test_what_a_single_edit_changes(old: str, new: str, kinds: list[str], witness: str) -> None:
    found = changes(RULES, edited(RULES, old, new), ("nft", "nft"), HOST)
    assert kinds_and_witness(found) == (kinds, witness)
