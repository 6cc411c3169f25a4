"""A Docker host described by compose files, with daemon.json's keys under `daemon` if need be (docs/hosts.md), and what
is around the host under `host` (host_section.py).

A service without `networks` is on the project's default network, as with Compose; `network_mode: bridge` is docker0.
What has no part in packet filtering (image, command, volumes ...) is passed over; an unknown key is an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testbed.docker import daemon as daemon_keys
from testbed.docker import host_section
from testbed.docker.compose import keys
from testbed.docker.compose import networks as network_keys
from testbed.docker.compose import project as project_files
from testbed.docker.compose import services as service_keys
from testbed.docker.compose.addresses import Networks
from testbed.docker.compose.containers import Containers
from testbed.docker.compose.networks import NetworkRequest
from testbed.docker.compose.project import Project
from testbed.docker.compose.services import ServiceRequest
from testbed.docker.daemon import Daemon
from testbed.docker.host import DockerHost
from testbed.docker.problems import Problems
from testbed.docker.surroundings import Surroundings
from testbed.docker.tree import Tree

_REMARKS = "x-remarks"  # of a text that stands for a host


@dataclass(frozen=True, slots=True)
class Described:
    """A host, and the text by which `parse` gives the same host without any file or environment beside it."""

    host: DockerHost
    text: str


def read(path: Path | str) -> DockerHost:
    """Return the host that a file describes; TopologyError, with lines, for what is not known or cannot be."""
    return described(path).host


def described(
    spec: Path | str,
    environment: Mapping[str, str] | None = None,
    project_name: str | None = None,
    daemon: str | None = None,
    env_files: str | None = None,
) -> Described:
    """Return the host of a file, of a folder, or of several files with commas between them; raises as `read` does.

    `project_name` is the project's name, `daemon` a daemon.json, `env_files` are files with variables.
    """
    known = os.environ if environment is None else environment
    project = project_files.read(project_files.files_of(str(spec), known, daemon, env_files), known, project_name)
    host, tree = _host(project, in_bed=True)
    host = replace(host, remarks=(*project.remarks, *host.remarks))
    return Described(host, json.dumps({**_plain(tree), _REMARKS: host.remarks}, ensure_ascii=False))


def parse(text: str, source: str = "the host file") -> DockerHost:
    """Return the host that a text describes; raises as `read` does."""
    project = project_files.of_text(text, source)
    host, _ = _host(project, in_bed=False)
    said = project.tree.child(_REMARKS)
    return host if said.is_absent else replace(host, remarks=tuple(said.words))


def _plain(tree: Tree) -> Any:
    """The values of a document, with every `$` written so that it stays one."""
    if isinstance(tree.value, dict):
        return {key: _plain(entry) for key, entry in tree.value.items()}
    if isinstance(tree.value, list):
        return [_plain(item) for item in tree.value]
    return tree.value.replace("$", "$$") if tree.value is not None else None


def _host(project: Project, in_bed: bool) -> tuple[DockerHost, Tree]:
    """The host of a project, and its document with nothing but the services whose profiles are chosen."""
    problems = Problems()
    tree = project.tree
    keys.only(tree, keys.DOCUMENT, problems)
    name = tree.text("name")
    daemon = daemon_keys.read(tree.child("daemon"), problems)
    known = network_keys.requested(tree.child("networks"), name, daemon, problems)
    services = service_keys.requested(tree.child("services"), known, problems)
    problems.raise_all()
    started = [one for one in services if not one.profiles or project.profiles & {*one.profiles, "*"}]
    used = _used(known, started)
    surroundings = host_section.read(tree.child("host"), problems)
    networks = Networks(daemon, used, problems, surroundings.value, in_bed)
    containers = Containers(name, networks, started, problems)
    problems.raise_all()
    beside = _with_services(surroundings.value, containers)
    remarks = [
        *surroundings.remarks,
        *networks.remarks,
        *containers.remarks,
        *_left_out(known, used, services, started),
    ]
    host = _assembled(daemon, beside, networks, containers, remarks, tree)
    return host, _only(tree, started)


def _used(known: dict[str, NetworkRequest], services: Iterable[ServiceRequest]) -> dict[str, NetworkRequest]:
    """The networks that a service is on: Compose makes no others."""
    asked = {endpoint.network for service in services for endpoint in service.endpoints}
    return {key: request for key, request in known.items() if key in asked}


def _left_out(
    known: dict[str, NetworkRequest],
    used: dict[str, NetworkRequest],
    services: list[ServiceRequest],
    started: list[ServiceRequest],
) -> list[str]:
    """What the file describes and Compose does not make."""
    running = {one.name for one in started}
    said = [
        f"{one.name} is not started: its profile is not chosen (COMPOSE_PROFILES={one.profiles[0]})."
        for one in services
        if one.name not in running
    ]
    unused = [key for key in known if key not in used and key != network_keys.DEFAULT]
    if unused:
        said.append(f"no service is on {', '.join(unused)}: Compose does not make such a network, nor does the bed.")
    return said


def _only(tree: Tree, started: list[ServiceRequest]) -> Tree:
    """What counts of a document: these services alone, whatever profiles they have, without what is passed over."""
    passed = (*keys.PASSED, "profiles", "extends")
    kept = {
        one.name: one.tree.with_value({key: part for key, part in one.tree.mapping if key not in passed})
        for one in started
    }
    parts = {key: part for key, part in tree.mapping if key in ("name", "networks", "daemon", "host")}
    return tree.with_value({**parts, "services": tree.child("services").with_value(kept)})


def _forwards(surroundings: Surroundings) -> Iterator[int]:
    """The IP versions in which the host forwards whatever its engine does."""
    said = dict(surroundings.sysctls)
    if "1" in (said.get("net.ipv4.ip_forward"), said.get("net.ipv4.conf.all.forwarding")):
        yield 4
    if all(said.get(f"net.ipv6.conf.{scope}.forwarding") == "1" for scope in ("all", "default")):
        yield 6


def _with_services(surroundings: Surroundings, containers: Containers) -> Surroundings:
    """The surroundings with services that stand in the LAN, or listen in the host's own network."""
    listeners = dict.fromkeys((*surroundings.listeners, *containers.listeners()))
    return replace(surroundings, stations=(*surroundings.stations, *containers.stations), listeners=tuple(listeners))


def _assembled(
    daemon: Daemon,
    surroundings: Surroundings,
    networks: Networks,
    containers: Containers,
    remarks: list[str],
    tree: Tree,
) -> DockerHost:
    with tree.blamed():
        return DockerHost(
            networks.in_order,
            tuple(containers.made),
            daemon.userland_proxy,
            daemon.ip6tables,
            daemon.iptables,
            daemon.forwarding,
            daemon.forward_drop,
            daemon.direct_routing,
            daemon.native,
            tuple(containers.names),
            (*networks.requirements, *containers.requirements),
            tuple(remarks),
            surroundings,
            tuple(_forwards(surroundings)),
        )
