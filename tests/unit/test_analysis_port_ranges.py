"""A translation to a range keeps a port that is in the range (get_unique_tuple, net/netfilter/nf_nat_core.c)."""

from __future__ import annotations

from testbed.analysis.difference import difference
from testbed.docker import article
from testbed.rules import save

OLD = "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"
NEW = "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -p tcp -j MASQUERADE --to-ports 1024-65535"


def test_masquerade_to_a_range_changes_only_ports_outside_it() -> None:
    text = article.ruleset().text
    assert OLD in text
    found = difference(
        article.ruleset(), save.parse(text.replace(OLD, f"{NEW}\n{OLD}"), "the rules"), article.topology()
    )
    assert found.changes
    for region in found.changes:
        assert region.witness.packet.first.protocol == 6
        assert region.witness.packet.first.first < 1024
