"""What is built for the rule sets of other programs (tests/data/foreign): nothing that they name is missing then."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.docker import article, network
from testbed.docker.fitted import fitted
from testbed.docker.guess import GuessKind
from testbed.rules import environment, rulefile

FOREIGN = Path(__file__).parents[1] / "data" / "foreign"
IPV6 = (GuessKind.IPV6, "host", ())
VIRBR0 = (GuessKind.BRIDGE, "virbr0", ("192.168.122.1/24", "192.168.122.2"))
SERVICE = (GuessKind.MACHINE, "at-10.96.0.80", ("10.96.0.80",))
BUILT = {
    "fail2ban-docker-20.10.rules": [],
    "fail2ban-docker-28.5.rules": [],
    "firewalld-docker-20.10-reloaded.nft": [IPV6],
    "firewalld-docker-20.10.nft": [IPV6],
    "firewalld-docker-28.5.nft": [IPV6],
    "firewalld-iptables-docker-20.10-reloaded.rules": [],
    "firewalld-iptables-docker-20.10.rules": [],
    "firewalld-iptables-docker-28.5.rules": [],
    "firewalld-started-after-docker-20.10.rules": [],
    "kube-proxy-docker-20.10.rules": [SERVICE],
    "libvirt-before-docker-20.10.rules": [VIRBR0],
    "libvirt-docker-20.10.rules": [VIRBR0],
    "libvirt-docker-28.5.rules": [VIRBR0],
    "ufw-docker-20.10.rules": [IPV6],
    "ufw-docker-28.5.rules": [IPV6],
}


def test_every_stored_rule_set_is_listed() -> None:
    assert set(BUILT) == {path.name for path in FOREIGN.iterdir() if path.suffix in (".rules", ".nft")}


@pytest.mark.parametrize("name", sorted(BUILT))
def test_what_is_built_for_a_rule_set_leaves_nothing_that_it_names(name: str) -> None:
    rules = rulefile.read(FOREIGN / name)
    found = fitted(article.HOST, [rules], described=False)
    assert [(guess.kind, guess.name, guess.addresses) for guess in found.guesses] == BUILT[name]
    assert environment.warnings(network.topology(found.host), [rules]) == []
