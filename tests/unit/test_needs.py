"""What rules name that a bed does not have: made where they tie it to a subnet, said where it is nobody's."""

from __future__ import annotations

import pytest

from testbed.docker import article
from testbed.errors import RulesError
from testbed.rules import NftRuleset, Ruleset, environment, save
from testbed.rules.environment import ENTERING, LEAVING, Mention
from testbed.rules.ruleset import Rule, Table

BED = article.topology()


def rules(*specs: str) -> Ruleset:
    lines = "".join(f"-A FORWARD {spec}\n" for spec in specs)
    return save.parse(f"*filter\n:FORWARD ACCEPT\n{lines}COMMIT\n")


def native(*words: str) -> NftRuleset:
    lines = "".join(f"\t\t{rule}\n" for rule in words)
    return NftRuleset(f"table inet own {{\n\tchain f {{\n\t\ttype filter hook forward priority 0;\n{lines}\t}}\n}}\n")


def made(*of: Ruleset | NftRuleset) -> list[str]:
    before = {device.name for device in BED.node("host").devices}
    devices = environment.with_missing_bridges(BED, of).node("host").devices
    return [f"{d.name} {' '.join(map(str, d.addresses))}".strip() for d in devices if d.name not in before]


def test_a_bed_that_has_all_that_rules_name_stays_as_it_is() -> None:
    assert environment.with_missing_bridges(BED, [article.ruleset()]) is BED
    assert environment.warnings(BED, [article.ruleset()]) == []


@pytest.mark.parametrize(
    ("given", "bridges"),
    [
        (rules("-s 192.168.122.0/24 -i virbr0 -j ACCEPT"), ["virbr0 192.168.122.1/24"]),
        (rules("-d 10.245.0.0/16 -o cni0 -j ACCEPT"), ["cni0 10.245.0.1/16"]),
        (rules("-s 172.20.0.0/16 ! -o br-1234 -j MASQUERADE"), ["br-1234 172.20.0.1/16"]),
        (rules("-s 172.20.0.0/16 ! -o br-1234 -j ACCEPT"), []),
        (rules("-i virbr0 -j ACCEPT"), []),
        (rules("-i eth0 -s 10.0.0.0/8 -j ACCEPT"), []),
        (rules("-i br-9 -s 172.17.5.0/24 -j ACCEPT"), []),
        (rules("-i br-9 -s 8.8.8.0/24 -j ACCEPT"), []),
        (rules("-i cali+ -s 10.244.0.0/16 -j ACCEPT"), []),
        (rules("-i a -s 10.1.0.0/16", "-i b -s 10.1.2.0/24"), ["a 10.1.0.1/16"]),
        (native('iifname "virbr0" ip saddr 192.168.122.0/24 accept'), ["virbr0 192.168.122.1/24"]),
        (native('ip saddr 172.20.0.0/16 oifname != "br-1" counter masquerade'), ["br-1 172.20.0.1/16"]),
        (native('oifname != "br-1" ip saddr 172.20.0.0/16 counter masquerade'), ["br-1 172.20.0.1/16"]),
        (native('iif "eth0" accept'), ["eth0"]),
        (native('iifname "eth0" accept'), []),
    ],
)
def test_bridges_are_made_of_what_rules_say_is_behind_them(given: Ruleset | NftRuleset, bridges: list[str]) -> None:
    assert made(given) == bridges


def test_both_sides_of_a_comparison_get_the_bridges_of_both() -> None:
    assert made(rules("-i a -s 10.1.0.0/16"), rules("-i b -s 10.2.0.0/16")) == ["a 10.1.0.1/16", "b 10.2.0.1/16"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            rules("-i eth0 -j DROP", "-i wlan0 -j DROP"),
            ["No packet comes in by eth0 or wlan0, which rules name: the bed's external interface is ens33."],
        ),
        (
            rules("! -i eth0 -j DROP"),
            [
                (
                    "Every packet comes in by another interface than eth0, which rules ask for: "
                    "the bed's external interface is ens33."
                )
            ],
        ),
        (rules("-o tun0 -j DROP"), ["No packet leaves by tun0, which rules name: no machine is behind it here."]),
        (rules("-i cali+ -j DROP"), ["No packet comes in by cali+, which rules name: no machine is behind it here."]),
        (rules("-i docker+ -j DROP", "-i lo -j DROP", "-m physdev --physdev-in veth+ -j DROP"), []),
        (
            rules("-s 10.244.0.0/16 -j DROP", "-d 8.8.8.8/32 -j DROP"),
            ["No node has an address in 10.244.0.0/16 or 8.8.8.8/32, which rules name."],
        ),
        (rules("-s 192.168.66.77/32 -j DROP", "-d 224.0.0.251/32 -j DROP", "-d 0.0.0.0/0 -j DROP"), []),
        (
            rules(*(f"-s 10.{number}.0.0/16 -j DROP" for number in range(6))),
            [
                (
                    "No node has an address in 10.0.0.0/16, 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16 and 2 more, "
                    "which rules name."
                )
            ],
        ),
        (
            rules("-i virbr0 -s 192.168.122.0/24 -j DROP"),
            ["virbr0 is made with 192.168.122.1/24, as rules name it; no machine is behind it."],
        ),
        (
            native('iifname { "eth0", "docker0" } drop', 'oifname "wg*" drop'),
            [
                "No packet comes in by eth0, which rules name: the bed's external interface is ens33.",
                "No packet leaves by wg*, which rules name: no machine is behind it here.",
            ],
        ),
    ],
)
def test_what_is_nobodys_is_said_in_sentences(given: Ruleset | NftRuleset, said: list[str]) -> None:
    assert environment.warnings(BED, [given]) == said


def test_nftables_asks_for_indexes_when_it_loads() -> None:
    given = native('iif "virbr0" accept', 'oifname != "eth0" drop')
    assert environment.at_load(given)
    assert not environment.at_load(native('iifname "virbr0" accept'))
    assert environment.mentions(given) == [
        Mention("virbr0", ENTERING, by_index=True),
        Mention("eth0", LEAVING, negated=True),
    ]


def test_ipsets_that_no_dump_brings_are_named_together() -> None:
    given = rules("-m set --match-set bad src -j DROP", "-m set ! --match-set good dst -j SET --add-set seen src")
    with pytest.raises(RulesError, match="rules need the ipsets bad, good, seen, which no dump brings") as refused:
        environment.require_sets(given)
    assert "ipset save" in refused.value.remedy


def test_clause_without_its_value_ties_no_subnet_to_an_interface() -> None:
    made = Ruleset((Table("filter", (Rule("FORWARD", "-i br0 -j DROP -s"),)),))  # a file with it is refused
    assert environment.mentions(made) == [Mention("br0", ENTERING)]
