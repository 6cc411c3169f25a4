"""A host and rules that lead its published ports elsewhere contradict each other, and that is said."""

from __future__ import annotations

import pytest

from testbed.docker import hostfile
from testbed.docker.contradictions import contradictions
from testbed.docker.engines import engine, engine_or_native
from testbed.rules import rulefile

HOST = hostfile.parse(
    "services:\n  web: {network_mode: bridge, ports: ['80:8080']}\n  db: {network_mode: bridge, ports: ['53:53/udp']}\n"
)


def said(*rules: str) -> list[str]:
    lines = ["*nat", ":PREROUTING ACCEPT [0:0]", *(f"-A PREROUTING {rule}" for rule in rules), "COMMIT", ""]
    return contradictions(HOST, rulefile.parse("\n".join(lines)))


def test_rules_of_another_container_and_of_none_are_said_with_their_line() -> None:
    assert said(
        "-p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.3:8080",
        "-p udp -m udp --dport 50:60 -j DNAT --to-destination 10.9.9.9",
    ) == [
        "The host publishes port 80/tcp for web, but line 3 of the rules leads it to 172.17.0.3, an address of db.",
        (
            "The host publishes port 53/udp for db, but line 4 of the rules leads it to 10.9.9.9,"
            " which no container of the host has."
        ),
    ]


@pytest.mark.parametrize(
    "rule",
    [
        "-p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:8080",
        "-p udp -m udp --dport 80 -j DNAT --to-destination 10.9.9.9",
        "-p tcp -m tcp --dport 81 -j DNAT --to-destination 10.9.9.9",
        "-p tcp -m tcp ! --dport 80 -j DNAT --to-destination 10.9.9.9",
        "-p tcp -m tcp --dport 80 -j ACCEPT",
    ],
)
def test_rules_that_agree_or_are_about_other_ports_are_no_contradiction(rule: str) -> None:
    assert said(rule) == []


@pytest.mark.parametrize("version", ["20.10", "28"])
def test_an_engines_own_rules_contradict_nothing(version: str) -> None:
    assert contradictions(HOST, engine(version).rules(HOST)) == []


def test_rules_for_nft_are_read_too() -> None:
    written = engine_or_native("29-nftables").rules(HOST)
    assert contradictions(HOST, written) == []
    other = rulefile.parse(written.text.replace("dnat to 172.17.0.2", "dnat to 172.17.0.3"))
    assert [sentence.partition(", but")[0] for sentence in contradictions(HOST, other)] == [
        "The host publishes port 80/tcp for web"
    ]
