"""Rule sets that other programs wrote beside Docker (tests/data/foreign): loaded, asked, and compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.behaviour import difference, table
from testbed.behaviour.probing import ask
from testbed.behaviour.table import Row
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import article
from testbed.docker.fitted import fitted
from testbed.errors import RulesError
from testbed.report.guesses import sentences
from testbed.rules import AnyRuleset, NftRuleset, rulefile

FOREIGN = Path(__file__).parent.parent / "data" / "foreign"
STORED = sorted(path.name for path in FOREIGN.iterdir() if path.suffix in (".rules", ".nft"))
HOST, WEB = "192.168.66.100", "172.17.0.2"


def silent(_: int) -> Callable[[], None]:
    return lambda: None


def foreign(name: str) -> AnyRuleset:
    return rulefile.read(FOREIGN / name)


def tables(*sides: RulesetVariant) -> list[dict[str, Row]]:
    """What each side answered, by probe."""
    answers = ask(fitted(article.HOST, [side.rules for side in sides], described=False).host, sides, silent)
    assert answers.missing == ()
    return [{row.probe: row for row in table.rows(side)} for side in answers.sides]


def test_there_are_rule_sets_of_every_program() -> None:
    programs = {name.split("-")[0] for name in STORED}
    assert programs == {"ufw", "firewalld", "fail2ban", "libvirt", "kube"}


@pytest.mark.parametrize("name", STORED)
def test_a_foreign_rule_set_is_loaded_and_answers_every_probe(name: str) -> None:
    """By both of iptables' ways, which behave the same; its header says where it comes from."""
    rules = foreign(name)
    backends = ("nft",) if isinstance(rules, NftRuleset) else ("nft", "legacy")
    first, *others = tables(*(RulesetVariant(rules, backend) for backend in backends))
    assert len(first) > 100
    assert any(row.outcome.startswith("reaches host itself") for row in first.values())
    assert all(other == first for other in others)
    assert (FOREIGN / name).read_text().startswith("# ")


def rows(of: dict[str, Row], probe: str) -> tuple[str, tuple[str, ...]]:
    return of[probe].outcome, of[probe].by


@pytest.mark.parametrize("name", ["ufw-docker-20.10.rules", "ufw-docker-28.5.rules"])
def test_the_table_shows_that_a_published_port_is_open_beside_ufw_and_by_which_rule(name: str) -> None:
    (found,) = tables(RulesetVariant(foreign(name), "nft"))
    outcome, by = rows(found, f"client tcp {HOST}:80")
    assert outcome == f"reaches web at {WEB}:80, answered from {HOST}:80"
    assert [rule.split(" -d ")[0].split(" ! ")[0] for rule in by] == ["nat -A DOCKER", "filter -A DOCKER"]
    assert rows(found, f"client tcp {HOST}:9") == ("is dropped", ("filter :INPUT DROP",))
    assert rows(found, f"client tcp {HOST}:22")[0].startswith("reaches host itself")
    assert rows(found, f"host icmp {WEB}")[0] == f"reaches web at {WEB}, answered from {WEB}"


@pytest.mark.parametrize("name", ["firewalld-docker-20.10.nft", "firewalld-docker-28.5.nft"])
def test_the_table_shows_the_same_beside_firewalld(name: str) -> None:
    (found,) = tables(RulesetVariant(foreign(name), "nft"))
    outcome, by = rows(found, f"client tcp {HOST}:80")
    assert outcome == f"reaches web at {WEB}:80, answered from {HOST}:80"
    assert by[-1] == "inet firewalld -A filter_FORWARD ct status dnat accept"
    assert rows(found, f"client tcp {HOST}:9")[1] == (
        "inet firewalld -A filter_IN_public reject with icmpx admin-prohibited",
    )


def test_a_ban_of_fail2ban_closes_the_hosts_port_and_not_the_published_one() -> None:
    """The client is banned from http and https: its bans stand in INPUT."""
    (found,) = tables(RulesetVariant(foreign("fail2ban-docker-28.5.rules"), "nft"))
    assert rows(found, f"client tcp {HOST}:443")[0] == "is rejected with port unreachable"
    assert rows(found, f"client tcp {HOST}:80")[0].startswith("reaches web")


def test_a_node_port_of_kube_proxy_reaches_its_pod_under_the_hosts_address() -> None:
    (found,) = tables(RulesetVariant(foreign("kube-proxy-docker-20.10.rules"), "nft"))
    outcome = rows(found, f"client tcp {HOST}:30080")[0]
    assert outcome == f"reaches web at {WEB}:80 from 172.17.0.1, answered from {HOST}:30080"


def test_libvirts_network_is_made_with_its_bridge_and_nothing_of_dockers_changes() -> None:
    sides = [RulesetVariant(article.ruleset(), "nft"), RulesetVariant(foreign("libvirt-docker-20.10.rules"), "nft")]
    on = fitted(article.HOST, [side.rules for side in sides], described=False)
    answers = ask(on.host, sides, silent)
    assert sentences(on.guesses) == [
        "virbr0 is made as a bridge with 192.168.122.1/24, guest-virbr0 at 192.168.122.2 behind it, as rules name it."
    ]
    assert answers.remarks == []
    before, now = (table.rows(side) for side in answers.sides)
    assert len(before) > 300
    assert any(row.probe.startswith("guest-virbr0 ") for row in now)
    beside = [change.probe for change in difference.changes(before, now) if "guest-virbr0" not in change.probe]
    assert [probe for probe in beside if "192.168.122." not in probe] == []


def test_started_after_libvirt_an_engine_leaves_forwards_policy_and_containers_are_open_to_neighbours() -> None:
    """libvirt has turned forwarding on, and 20.10 sets the policy only where it does that itself."""
    first, later = tables(
        *(RulesetVariant(foreign(f"libvirt-{name}.rules"), "nft") for name in ("docker-20.10", "before-docker-20.10"))
    )
    causes = difference.causes(difference.changes(first.values(), later.values()))
    assert causes[0].kind == difference.OPENED
    assert causes[0].witness.probe == "client icmp 172.17.0.2 handed to the host"
    assert causes[0].parted == ("filter :FORWARD DROP", "")
    assert f"client tcp {WEB}:9 handed to the host" in [change.probe for change in causes[0].changes]


def test_an_interface_that_nftables_looks_up_when_it_loads_is_there() -> None:
    """`iif` asks for an index: of a device of the bed's own, and of one that only the rules name."""
    words = 'iif "docker0" tcp dport 443 counter drop; iif "virbr0" counter drop'
    hook = "type filter hook forward priority 0;"
    given = NftRuleset(f"table inet own {{ chain c {{ {hook} {words}; }}; }}\n")
    (found,) = tables(RulesetVariant(given, "nft"))
    assert rows(found, "web tcp 203.0.113.10:443") == (
        "is dropped",
        ('inet own -A c iif "docker0" tcp dport 443 drop',),
    )


def test_a_rule_of_iptables_that_nft_cannot_read_again_is_told_with_what_to_give_instead() -> None:
    given = NftRuleset("table ip own {\n\tchain c {\n\t\txt match icmp6 accept\n\t}\n}\n", "my.nft")
    with pytest.raises(RulesError, match=r"my\.nft, line 3: 'xt match icmp6 accept' is refused") as refused:
        tables(RulesetVariant(given, "nft"))
    assert (
        refused.value.remedy
        == "iptables-nft made that rule: give what iptables-save and ip6tables-save print, instead."
    )
