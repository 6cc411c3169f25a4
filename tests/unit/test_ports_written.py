"""Published ports as compose files write them."""

from __future__ import annotations

import pytest

from testbed.docker.ports import requested
from testbed.docker.tree import Tree
from testbed.errors import TopologyError


def asked(text: str) -> list[str]:
    ports = requested(Tree.parse(text, "mine"))
    return [f"{port.address or '*'} {list(port.hosts)} {port.container}/{port.protocol}" for port in ports]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("'80'", ["* [] 80/tcp"]),
        ("80", ["* [] 80/tcp"]),
        ("22:22", ["* [22] 22/tcp"]),
        ("'8000-8001:80-81'", ["* [8000] 80/tcp", "* [8001] 81/tcp"]),
        ("'8000-8002:80'", ["* [8000, 8001, 8002] 80/tcp"]),
        ("'80-81'", ["* [] 80/tcp", "* [] 81/tcp"]),
        ("'127.0.0.1::80'", ["127.0.0.1 [] 80/tcp"]),
        ("'127.0.0.1:80:80/UDP'", ["127.0.0.1 [80] 80/udp"]),
        ("'[::1]:80:80'", ["::1 [80] 80/tcp"]),
        ("'::1:80:80'", ["::1 [80] 80/tcp"]),
        ("'0.0.0.0:80:80'", ["0.0.0.0 [80] 80/tcp"]),
        ("':443:443'", ["* [443] 443/tcp"]),
        ("':80'", ["* [] 80/tcp"]),
        ("'0:80'", ["* [] 80/tcp"]),
        ("{target: 80}", ["* [] 80/tcp"]),
        ("{target: 80, published: 8080, mode: host, app_protocol: http, name: web}", ["* [8080] 80/tcp"]),
        ("{target: 80, published: 8080-8081, x-a: 1}", ["* [8080, 8081] 80/tcp"]),
        ("{target: '53', published: '53', protocol: udp, host_ip: '::1'}", ["::1 [53] 53/udp"]),
    ],
)
def test_a_port_is_read_as_compose_reads_it(text: str, found: list[str]) -> None:
    assert asked(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("'0'", "'0' names no port of the container"),
        ("'81-80:81-80'", "81-80 is a range that ends before it begins"),
        ("'80:65536'", "65536 is no port"),
        ("'9999999999999999999:80'", "is no port"),
        ("'a:80'", "'a:80' is no published port"),
        ("'1.2.3:80:80'", "1.2.3 is no address"),
        ("{published: 80}", "needs a `target`"),
        ("{target: 80, published: a}", "'a' is no port"),
        ("{target: 80, mode: other}", "the mode other is not known"),
        ("{target: 80, host: 80}", "the key host is not known"),
        ("[80]", "a single value is expected"),
    ],
)
def test_what_is_no_port_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(TopologyError, match=f"mine, line 1: .*{said}"):
        asked(text)
