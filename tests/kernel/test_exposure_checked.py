"""Exposure specs held against rules: violations of every kind, their witnesses sent and their closing rules tried."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from testbed.docker import hostfile
from testbed.docker.engines import chosen_for
from testbed.exposure.made import ExposureStand
from testbed.exposure.spec import entries
from testbed.exposure.spec.check import ViolationKind
from testbed.exposure.spec.tried import SpecReport, checked
from testbed.rules.ruleset import Ruleset

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 6, 1)
OPEN, DENIED, CLOSED = ViolationKind.OPEN, ViolationKind.DENIED, ViolationKind.NOT_REACHABLE

# Ten lines for docs/docker.yaml: what is published, the host itself, and what the default bridge lets through.
SPEC = """
allow:
  - {from: internet, to: [web:8080, web:8443, mail:25, mail:587, dns:53/udp]}
  - {from: lan, to: [web:8080, web:8443, mail:25, mail:587, dns:53/udp]}
  - {from: [bridge, front], to: [web:8080, web:8443, mail:25, mail:587, dns:53/udp]}
  - {from: bridge, to: bridge}
  - {from: host, to: "*"}
deny:
  - {from: [internet, lan], to: [admin, db]}
"""


def stand(engine: str, *inserted: tuple[str, str]) -> ExposureStand:
    host = hostfile.described(str(ROOT / "docs/docker.yaml")).host
    known = chosen_for(host, engine)
    rules = known.rules(host)
    for chain, spec in inserted:
        assert isinstance(rules, Ruleset)
        rules = rules.insert("filter", chain, spec)
    return ExposureStand.of(known.built(host), rules, "")


def check(text: str, engine: str = "28", *inserted: tuple[str, str]) -> SpecReport:
    return checked(stand(engine, *inserted), entries.parse(text, "exposure.yaml", TODAY))


def found(report: SpecReport) -> list[tuple[ViolationKind, str, str]]:
    return [(one.kind, one.who, one.what) for one in report.result.violations]


@pytest.mark.parametrize("engine", ["28", "29"])
def test_ten_lines_hold_on_engines_that_close_the_rest(engine: str) -> None:
    report = check(SPEC, engine)
    assert found(report) == []
    assert report.result.unjudged == ()


@pytest.mark.parametrize("engine", ["20.10", "27"])
def test_a_port_on_the_loopback_leaks_before_28_and_the_proposed_rule_closes_it(engine: str) -> None:
    report = check(SPEC, engine)
    assert found(report) == [(DENIED, "direct", "admin:9000/tcp")]
    (one,) = report.shown
    assert one.journey is not None
    assert one.journey.end.where == "admin"
    assert one.proposal is not None
    assert (one.proposal.table, one.proposal.chain) == ("filter", "DOCKER-USER")
    assert "--dport 9000" in one.proposal.rules[0]


def test_nftables_lets_an_internal_network_reach_published_ports_and_a_table_of_its_own_closes_it() -> None:
    report = check(SPEC, "29-nftables")
    assert {(one.kind, one.who) for one in report.result.violations} == {(OPEN, "docs_back")}
    assert len(report.shown) == 5
    assert all(one.proposal is not None for one in report.shown)


DNS_CLOSED = {(CLOSED, "internet", "dns:53/udp"), (CLOSED, "lan", "dns:53/udp")}


@pytest.mark.parametrize(
    ("chain", "rule", "expected"),
    [
        ("DOCKER-USER", "-p tcp --dport 8080 -j DROP", {(CLOSED, "internet", "web:8080"), (CLOSED, "lan", "web:8080")}),
        (
            "DOCKER-USER",
            "-i ens33 -p udp -j REJECT",
            {(CLOSED, "internet", "dns:53/udp"), (CLOSED, "lan", "dns:53/udp")},
        ),
        (
            "DOCKER-USER",
            "-o ens33 -p tcp --sport 25 -j DROP",
            {(CLOSED, "internet", "mail:25"), (CLOSED, "lan", "mail:25")},
        ),
        ("DOCKER-USER", "-i docker0 -o docker0 -j DROP", set()),
        ("INPUT", "-i docker0 -p tcp --dport 80 -j DROP", {(CLOSED, "bridge", "web:8080")}),
        ("OUTPUT", "-d 172.18.0.2 -p tcp --dport 8080 -j DROP", {(CLOSED, "bridge", "web:8080")}),
    ],
)
def test_what_is_allowed_has_to_be_reachable(
    chain: str, rule: str, expected: set[tuple[ViolationKind, str, str]]
) -> None:
    report = check(SPEC, "28", (chain, rule))
    assert set(found(report)) == expected


@pytest.mark.parametrize(
    ("chain", "rule", "who", "what"),
    [
        ("FORWARD", "-i br-c950bc6c23d5 -d 172.17.0.2 -j ACCEPT", "", ""),
        ("DOCKER-USER", "-s 172.18.0.2 -d 172.19.0.2 -p tcp --dport 5432 -j ACCEPT", "docs_front", "db:*"),
        ("DOCKER-USER", "-i docker0 -d 172.19.0.2 -p tcp -j ACCEPT", "bridge", "db:*"),
        ("DOCKER-USER", "-i br-c950bc6c23d5 -o docker0 -p tcp --dport 9 -j ACCEPT", "", ""),
        ("DOCKER-USER", "-i ens33 -d 172.19.0.2 -j ACCEPT", "direct", "db:*"),
    ],
)
def test_a_hole_is_found_and_the_proposed_rule_closes_it(chain: str, rule: str, who: str, what: str) -> None:
    rules = ((chain, rule), ("DOCKER-USER", "-o ens33 -j RETURN"))
    answers = ("DOCKER-USER", "-s 172.19.0.2 -j ACCEPT")
    report = check(SPEC, "20.10", *rules, answers)
    holes = [one for one in report.shown if (one.violation.who, one.violation.what) == (who, what)]
    assert bool(holes) == bool(who)
    assert all(one.proposal is not None and one.journey is not None for one in holes)


def test_an_exception_opens_what_is_closed_otherwise() -> None:
    spec = SPEC.replace("[admin, db]", "[db]")
    assert found(check(spec, "20.10")) == [(OPEN, "direct", "admin:9000/tcp")]
    held = spec + "except: [{from: lan, to: admin:9000, reason: moving to 28, until: 2026-12-31}]\n"
    assert found(check(held, "20.10")) == []


def test_a_prefix_may_be_all_that_reaches_a_service() -> None:
    spec = SPEC.replace(
        ", mail:587, dns:53/udp]}\n  - {from: lan",
        ", dns:53/udp]}\n  - {from: 198.51.100.0/24, to: mail:587}\n  - {from: lan",
    )
    report = check(spec)
    assert found(report) == [(OPEN, "internet", "mail:587/tcp")]
    (one,) = report.shown
    assert one.proposal is not None
    drop = "-i ens33 -p tcp --dport 587 -j DROP"
    spared = [f"-i ens33 -s {own} -p tcp --dport 587 -j RETURN" for own in ("198.51.100.0/24", "192.168.66.0/24")]
    closed = check(spec, "28", *(("DOCKER-USER", rule) for rule in (drop, *spared)))
    assert found(closed) == []


def test_a_service_that_some_reach_only_is_a_violation() -> None:
    report = check(SPEC, "28", ("DOCKER-USER", "-s 203.0.113.0/24 -p tcp --dport 25 -j DROP"))
    assert found(report) == [(ViolationKind.PARTLY, "internet", "mail:25")]


def test_what_containers_send_out_is_checked_where_the_spec_says_what_may() -> None:
    outgoing = SPEC + "also:\n  - {from: [bridge, front], to: internet}\n"
    assert found(check(outgoing)) == []
    only = SPEC + "also:\n  - {from: front, to: '203.0.113.10:5432'}\n"
    report = check(only)
    assert {(one.kind, one.who) for one in report.result.violations} == {
        (ViolationKind.OUTGOING, "bridge"),
        (ViolationKind.OUTGOING, "docs_front"),
    }
    closed = check(outgoing, "28", ("DOCKER-USER", "-i docker0 -o ens33 -m conntrack --ctstate NEW -j DROP"))
    assert found(closed) == [(ViolationKind.NOT_OUTGOING, "bridge", "internet")]
