"""Rules flushed and put back in another order, or not at all, beside an engine that does not notice: what breaks.

Each has happened to people: moby issues 12294 (a service restores its own file over Docker's rules), 43974 (DOCKER-USER
behind what accepts), 16816 (the nat table without its way to DOCKER), and firewalld's reload as a host had it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed import Ruleset
from testbed.behaviour import difference, table
from testbed.behaviour.difference import ANSWERED, CLOSED, MOVED, OPENED, TRANSLATED, Cause
from testbed.behaviour.probing import ask
from testbed.behaviour.variant import RulesetVariant
from testbed.docker import DockerHost, article
from testbed.docker.engines import engine
from testbed.rules import rulefile, save

FOREIGN = Path(__file__).parent.parent / "data" / "foreign"
JUMP, DROP_80 = "-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -i ens33 -p tcp -m tcp --dport 80 -j DROP"
ACCEPT = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"
DNAT = "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"
FIREWALLD = "firewalld-iptables-docker-20.10"
CLASSIC, NEWEST = "26.1", "28.5"
PUBLISHED, OUTSIDE = "client tcp 192.168.66.100:80", "web tcp 203.0.113.10:9"
RESTORED = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n"
Edit = Callable[[list[str]], list[str]]


def causes(old: Ruleset, new: Ruleset, host: DockerHost = article.HOST) -> list[Cause]:
    answers = ask(host, [RulesetVariant(old, "nft"), RulesetVariant(new, "nft")], lambda _: lambda: None)
    before, now = (table.rows(side) for side in answers.sides)
    assert len(before) == len(now) > 50
    return difference.causes(difference.changes(before, now))


def edited(rules: Ruleset, edit: Edit) -> Ruleset:
    """The rules with another text; an edit that changes nothing is a mistake of the test."""
    before = save.render(rules).splitlines()
    after = edit(list(before))
    assert after != before
    return save.parse("".join(f"{line}\n" for line in after))


def without(*beginnings: str) -> Edit:
    return lambda lines: [line for line in lines if not line.startswith(beginnings)]


def docker_user_last(lines: list[str]) -> list[str]:
    """FORWARD flushed, and its rules put back with the jump to DOCKER-USER behind the others."""
    rest = [line for line in lines if line != JUMP]
    last = max(number for number, line in enumerate(rest) if line.startswith("-A FORWARD "))
    return [*rest[: last + 1], JUMP, *rest[last + 1 :]]


def probes(cause: Cause) -> list[str]:
    return [change.probe for change in cause.changes]


@pytest.fixture(params=[CLASSIC, NEWEST])
def rules(request: pytest.FixtureRequest) -> Ruleset:
    return engine(request.param).rules(article.HOST)


def test_forward_flushed_and_not_put_back_its_policy_closes_published_ports_and_shuts_containers_in(
    rules: Ruleset,
) -> None:
    """`iptables -F FORWARD`: the engine's policy stays."""
    inward, outward, *others = causes(rules, edited(rules, without("-A FORWARD ")))
    assert (inward.kind, outward.kind) == (CLOSED, CLOSED)
    assert PUBLISHED in probes(inward)
    assert inward.parted == (f"filter {ACCEPT}", "filter :FORWARD DROP")
    assert OUTSIDE in probes(outward)
    assert outward.parted[1] == "filter :FORWARD DROP"
    assert {cause.kind for cause in others} <= {MOVED}


def test_of_forward_only_the_jump_to_docker_user_put_back_is_as_bad(rules: Ruleset) -> None:
    flushed, kept = edited(rules, without("-A FORWARD ")), edited(rules, only_the_jump)
    assert [(c.kind, c.parted) for c in causes(rules, kept)] == [(c.kind, c.parted) for c in causes(rules, flushed)]


def only_the_jump(lines: list[str]) -> list[str]:
    return [line for line in lines if line == JUMP or not line.startswith("-A FORWARD ")]


def test_a_services_own_file_restored_over_dockers_rules(rules: Ruleset) -> None:
    """moby issue 12294: published ports are the host's own, containers' addresses are open and have no way out."""
    found = causes(rules, save.parse(RESTORED))
    opened = [cause for cause in found if cause.kind == OPENED]
    assert "client icmp 172.17.0.2 handed to the host" in probes(opened[0])
    (published,) = [cause for cause in found if PUBLISHED in probes(cause)]
    assert published.kind == TRANSLATED
    assert published.parted == (f"nat {DNAT}", "")
    assert outcome(published, PUBLISHED) == "reaches host itself, answered by RST/ACK"
    (outward,) = [cause for cause in found if OUTSIDE in probes(cause)]
    assert outward.kind == TRANSLATED
    assert outcome(outward, OUTSIDE) == "reaches internet at 203.0.113.10:9, its answer is lost"


def outcome(cause: Cause, probe: str) -> str:
    return next(change.new.outcome for change in cause.changes if change.probe == probe)


def test_without_the_jumps_to_nats_chain_a_published_port_is_the_hosts_own(rules: Ruleset) -> None:
    """moby issue 16816."""
    found = causes(rules, edited(rules, without("-A PREROUTING -m addrtype", "-A OUTPUT ! -d")))
    assert {cause.kind for cause in found} == {CLOSED, TRANSLATED}
    assert all(cause.parted[0] == f"nat {DNAT}" for cause in found)
    assert PUBLISHED in probes(found[1])


def test_without_masquerade_containers_ask_under_addresses_that_nobody_answers(rules: Ruleset) -> None:
    first, *others = causes(rules, edited(rules, without("-A POSTROUTING -s 172.17.0.0/16")))
    assert (first.kind, first.witness.probe) == (TRANSLATED, "web icmp 203.0.113.10")
    assert first.parted == ("nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", "")
    assert outcome(first, OUTSIDE) == "reaches internet at 203.0.113.10:9, its answer is lost"
    assert {cause.kind for cause in others} <= {MOVED}


def test_docker_user_behind_what_accepts_is_not_asked_any_more(rules: Ruleset) -> None:
    """moby issue 43974, with a rule of the user's that closes a port."""
    closed = edited(rules, with_user_rule)
    first, *others = causes(closed, edited(closed, docker_user_last))
    assert first.kind == OPENED
    assert PUBLISHED in probes(first)
    assert first.parted == (f"filter {DROP_80}", f"filter {ACCEPT}")
    assert {cause.kind for cause in others} <= {OPENED, ANSWERED, MOVED}


def with_user_rule(lines: list[str]) -> list[str]:
    """The user's rule at the head of DOCKER-USER."""
    own = [number for number, line in enumerate(lines) if line.startswith("-A DOCKER-USER ")]
    place = own[0] if own else lines.index("COMMIT", lines.index("*filter"))
    return [*lines[:place], DROP_80, *lines[place:]]


def test_firewallds_reload_put_docker_user_behind_what_accepts() -> None:
    """As taken from a host: with nothing in DOCKER-USER nothing differs; a user's rule in it is not asked any more."""
    before, after = (rulefile.read(FOREIGN / f"{FIREWALLD}{state}.rules") for state in ("", "-reloaded"))
    assert isinstance(before, Ruleset)
    assert isinstance(after, Ruleset)
    assert causes(before, after) == []
    (opened, *others) = causes(edited(before, with_user_rule), edited(after, with_user_rule))
    assert opened.kind == OPENED
    assert PUBLISHED in probes(opened)
    assert opened.parted[0] == f"filter {DROP_80}"
    assert {cause.kind for cause in others} <= {OPENED, ANSWERED, MOVED}


def test_firewallds_reload_took_the_isolation_of_bridges_away() -> None:
    """The same reload left the chains of isolation empty: of a host with two bridges each is open to the other."""
    host = article.HOST_WITH_TWO_NETWORKS
    rules = engine("20.10").rules(host)
    found = causes(
        rules, edited(rules, without("-A DOCKER-ISOLATION-STAGE-1 -i", "-A DOCKER-ISOLATION-STAGE-2 -o")), host
    )
    assert {cause.kind for cause in found} <= {OPENED, ANSWERED}
    assert "app tcp 172.17.0.2:80" in [probe for cause in found for probe in probes(cause)]
    assert any(cause.parted[0].startswith("filter -A DOCKER-ISOLATION-STAGE-2 -o") for cause in found)


def test_firewalld_started_behind_an_engine_that_does_not_hear_of_it() -> None:
    """As taken from a host: nothing of the engine's rules is left, and its published port is closed."""
    before, after = (
        rulefile.read(FOREIGN / name) for name in (f"{FIREWALLD}.rules", "firewalld-started-after-docker-20.10.rules")
    )
    assert isinstance(before, Ruleset)
    assert isinstance(after, Ruleset)
    found = causes(before, after)
    (published,) = [cause for cause in found if PUBLISHED in probes(cause)]
    assert published.kind == CLOSED
    assert published.parted[0] == f"nat {DNAT}"
    assert OUTSIDE in [probe for cause in found for probe in probes(cause)]
