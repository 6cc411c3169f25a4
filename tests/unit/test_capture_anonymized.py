"""Captures with other public addresses and names: consistent, still a capture, nothing of the old left."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_capture_reader import TEXT

from testbed.capture.anonymize import Anonymizer
from testbed.capture.reader import parse
from testbed.capture.twin import twin
from testbed.errors import CaptureError

PUBLIC = st.ip_addresses(v=4).filter(lambda address: address.is_global and not address.is_multicast)
PUBLIC6 = st.ip_addresses(v=6, network="2a00::/12")
MAP = Anonymizer("secret")


@given(PUBLIC, PUBLIC, st.integers(8, 32))
def test_addresses_of_one_subnet_stay_in_one_and_others_stay_apart(one: object, other: object, length: int) -> None:
    before = [ip_network(f"{address}/{length}", strict=False) for address in (one, other)]
    after = [ip_network(f"{MAP.capture(str(address))}/{length}", strict=False) for address in (one, other)]
    assert (before[0] == before[1]) == (after[0] == after[1])


@given(PUBLIC6, PUBLIC6, st.integers(3, 64))
def test_ipv6_addresses_of_one_subnet_stay_in_one(one: object, other: object, length: int) -> None:
    before = [ip_network(f"{address}/{length}", strict=False) for address in (one, other)]
    after = [ip_network(f"{MAP.capture(str(address))}/{length}", strict=False) for address in (one, other)]
    assert (before[0] == before[1]) == (after[0] == after[1])


@given(PUBLIC)
def test_public_address_stays_public_and_the_mapping_has_no_collision(address: object) -> None:
    mapped = ip_address(MAP.capture(str(address)))
    assert mapped.is_global or str(mapped).startswith(("192.0.0.", "192.88.99."))


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "192.168.66.100/24", "127.0.0.1", "198.51.100.7", "::1", "fe80::1/64", "2001:db8::5",
             "fd00::1", "02:42:ac:11:00:02", "1.8.9", "0.0.0.0/0"],
)  # fmt: skip
def test_what_is_not_public_stays(text: str) -> None:
    assert MAP.capture(text) == text


def test_ports_and_prefix_lengths_behind_an_address_stay() -> None:
    assert MAP.capture("--to-destination 8.8.8.8:53").endswith(".8:53")
    assert MAP.capture("-d 8.8.8.0/24").endswith(".0/24")
    assert ip_network(MAP.capture("8.0.0.0/8"))
    assert MAP.capture("[2a00:1450:4001::5]:443").endswith("::5]:443") or MAP.capture("[2a00::5]:443").endswith("]:443")


def test_anonymized_capture_is_the_same_host_under_other_names() -> None:
    text = TEXT.replace("192.168.66.", "8.8.4.")
    own = Anonymizer.new()
    changed = own.capture(text)
    before, after = twin(parse(text, "c")), twin(parse(changed, "c"))
    assert [note.kind for note in after.notes] == [note.kind for note in before.notes]
    assert len(after.host.containers) == len(before.host.containers)
    for name in ("testbed_front", "testbed_shop", "8.8.4.", '"/web"', '"/many"'):
        assert name not in changed
    assert own.capture(text) == changed
    assert Anonymizer.read(own.text, "map").capture(text) == changed


def test_comments_of_rules_are_names() -> None:
    text = MAP.capture('-A INPUT -m comment --comment "our bank" -j DROP\n tcp dport 22 comment "ssh of bob"')
    assert "bank" not in text
    assert "bob" not in text
    assert text.startswith('-A INPUT -m comment --comment "comment-')


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"secret": 1}', "x" * 100])
def test_file_that_is_no_map_is_refused(text: str) -> None:
    with pytest.raises(CaptureError, match="map\\.json is no map"):
        Anonymizer.read(text, "map.json")
