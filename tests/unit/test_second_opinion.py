"""The host of a compose file is the host of what `docker compose config` makes of that file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testbed.docker import DockerHost, hostfile

DATA = Path(__file__).parents[1] / "data" / "compose"
MERGED = (f"{DATA / 'merged' / 'compose.yaml'},{DATA / 'merged' / 'override.yaml'}", {"COMPOSE_PROFILES": "debug"})
RECORDED = {path.stem: path for path in sorted((DATA / "config").glob("*.json"))}


def read(name: str) -> DockerHost:
    """The host of the file itself, under the project's name that was given to Compose."""
    if name == "merged":
        return hostfile.described(*MERGED, env_files=str(DATA / "merged" / "values.env")).host
    return hostfile.described(DATA / f"{name}.yml", {}, project_name="testbed").host


def recorded(name: str) -> DockerHost:
    """The host of Compose's own reading, which has the services of chosen profiles alone."""
    document = json.loads(RECORDED[name].read_text())
    for service in document["services"].values():
        service.pop("profiles", None)
    return hostfile.parse(json.dumps(document))


def containers(host: DockerHost) -> dict[str, tuple[Any, ...]]:
    """What Compose's order of services, which is by name, does not change."""
    return {
        one.name: (
            {known for known, node in host.names if node == one.name},
            {own.network.name for own in one.attachments},
            {str(port) for port in one.published},
            one.gateway.network.name if one.gateway else None,
        )
        for one in host.containers
    }


def networks(host: DockerHost) -> dict[str, tuple[Any, ...]]:
    return {
        one.name: (one.bridge, one.internal, one.icc, one.masquerade, one.mode, one.gateway6, one.binding)
        for one in host.networks
    }


@pytest.mark.parametrize("name", RECORDED)
def test_a_file_describes_the_host_that_compose_reads_in_it(name: str) -> None:
    own, other = read(name), recorded(name)
    assert containers(own) == containers(other)
    assert networks(own) == networks(other)
    assert {node for _, node in own.names} == {node for _, node in other.names}


def test_several_files_and_all_ways_to_refer_to_others_give_the_host_that_compose_reads() -> None:
    host = read("merged")
    web = next(one for one in host.containers if one.name == "web")
    assert [own.network.name for own in web.attachments] == ["the_front", "merged_back"]
    assert (str(web.address), str(web.network.gateway)) == ("172.28.5.10", "172.28.5.254/24")
    assert {str(port) for port in web.published} == {
        *("8080:80/tcp", "8081:80/tcp", "127.0.0.1:8443:443/tcp", "5353:53/udp"),
        *(f"{port}:{port}/sctp" for port in (9000, 9001, 9002)),
    }
    assert {one.name: len(one.published) for one in host.containers} == {
        "web": 7,
        "cache": 0,
        "mail": 2,
        "tool": 1,
        "api-1": 0,
        "api-2": 0,
        "api-3": 0,
    }
    assert host.node_called("side") == "web"


def test_every_file_that_compose_takes_has_its_reading_beside_it() -> None:
    assert RECORDED.keys() == {path.stem for path in DATA.glob("*.yml")} - {"41-daemon-real"} | {"merged"}
