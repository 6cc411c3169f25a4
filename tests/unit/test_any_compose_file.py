"""Compose files of every shape: each is read, or refused with a sentence, soon."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from testbed.docker import DockerHost, hostfile
from testbed.docker.compose import keys
from testbed.errors import TestbedError

NAMES = some.sampled_from(
    ["web", "db", "app", "default", "bridge", "host", "client", "a", "x-y", "", "9", "Ünicode", "<<"]
)
WORDS = some.sampled_from(
    (
        *("", "80", "80:80", "1-3:4-6", "127.0.0.1::5", "[::1]:80:80", "70000", "-1", "true", "null", "$", "${A"),
        *("${A:-1}", "${A:?no}", "host", "none", "bridge", "service:web", "container:x", "default", "10.0.0.0/8"),
        *("10.0.0.1", "fd00::/64", "02:42:ac:11:00:02", "overlay", "isolated", "1e9", "0x10", "~", "9" * 40),
    )
)
SCALARS = some.one_of(WORDS, some.integers(-2, 70000), some.booleans(), some.none(), some.text(max_size=8))
ANYTHING = some.recursive(
    SCALARS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(NAMES | WORDS, inner, max_size=3),
    max_leaves=8,
)


def mapping_of(known: tuple[str, ...], **own: some.SearchStrategy[Any]) -> some.SearchStrategy[Any]:
    """Some of the known keys, mostly with values of their own kind."""
    usual = {key: own.get(key, ANYTHING) for key in known}
    return some.fixed_dictionaries({}, optional=usual) | ANYTHING


ENDPOINTS = some.lists(NAMES, max_size=3) | some.dictionaries(NAMES, mapping_of(keys.ENDPOINT), max_size=3)
PORT = WORDS | some.integers(0, 70000) | mapping_of(("target", "published", "host_ip", "protocol", "mode"))
FILTERED = (
    "ports",
    "networks",
    "network_mode",
    "container_name",
    "depends_on",
    "links",
    "profiles",
    "scale",
    "extends",
)
SERVICE = mapping_of(FILTERED, ports=some.lists(PORT, max_size=3), networks=ENDPOINTS)
POOLS = some.fixed_dictionaries({}, optional={"config": some.lists(mapping_of(keys.POOL), max_size=2)})
NETWORK = mapping_of(keys.NETWORK, ipam=POOLS)
DAEMON = ("bip", "ip", "default-address-pools", "ipv6", "fixed-cidr-v6", "icc", "mtu", "bridge", "fixed-cidr")
DOCUMENT = mapping_of(
    ("services", "networks", "daemon", "name", "include", "x-y", "version"),
    services=some.dictionaries(NAMES, SERVICE, max_size=4),
    networks=some.dictionaries(NAMES, NETWORK, max_size=3),
    daemon=mapping_of(DAEMON),
    include=some.lists(WORDS, max_size=1),
)


def read(text: str) -> tuple[DockerHost | None, str]:
    """The host of a text, or the sentence that refuses it."""
    try:
        return hostfile.parse(text, "mine"), ""
    except TestbedError as error:
        return None, error.what


@settings(max_examples=150, deadline=500, suppress_health_check=list(HealthCheck))
@given(DOCUMENT)
def test_any_document_is_read_or_refused_with_a_sentence(document: Any) -> None:
    host, refusal = read(json.dumps(document))
    if host is None:
        assert re.match(r"mine, line \d+: .|\d+ things are wrong:\n  mine, line ", refusal)
    else:
        assert len({container.name for container in host.containers}) == len(host.containers)


@settings(max_examples=100, deadline=500)
@given(some.text(alphabet=":-{}[]&*<!#|>\"'\n abw$\t80", max_size=60))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    host, refusal = read(f"services:\n  web: {text}")
    assert (host is None) == bool(refusal)


MODES = some.sampled_from(["", "bridge", "networks"])
JOINED = some.lists(some.sampled_from(["a", "b", "c", "default"]), min_size=1, max_size=3, unique=True)


@settings(max_examples=100, deadline=500)
@given(some.lists(some.tuples(MODES, JOINED), min_size=2, max_size=5))
def test_services_share_a_network_only_where_an_engine_puts_both_on_it(services: list[tuple[str, list[str]]]) -> None:
    """The engine's own reading: no networks is the default one, network_mode bridge is docker0."""
    expected, written = {}, {}
    for number, (mode, joined) in enumerate(services):
        name = f"s{number}"
        own = {"": ["default"], "bridge": ["docker0"], "networks": joined}[mode]
        expected[name] = set(own)
        written[name] = {"": {}, "bridge": {"network_mode": "bridge"}, "networks": {"networks": joined}}[mode]
    host = hostfile.parse(json.dumps({"networks": dict.fromkeys("abc"), "services": written}))
    bridges = {c.name: {own.network.bridge for own in c.attachments} for c in host.containers}
    for one, other in combinations(expected, 2):
        assert bool(bridges[one] & bridges[other]) == bool(expected[one] & expected[other])
