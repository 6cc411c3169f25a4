"""A real engine on a host of its own: containerd and dockerd, with the networks and containers that they run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from testbed.capture.taking import take
from testbed.conformance import image, wishes
from testbed.conformance.api import Api
from testbed.conformance.enclosure import ProgramStart, enclosed
from testbed.conformance.programs import EnginePrograms
from testbed.conformance.surroundings import bare_host
from testbed.docker.host import Container, DockerHost
from testbed.kernel.namespace import Namespace

_GLOBAL = 0  # RT_SCOPE_UNIVERSE, include/uapi/linux/rtnetlink.h
_CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
_DOCKER_SOCKET = "/run/docker.sock"
_CONFIGURED = "/run/containerd.toml"
_INSTEAD = "/run/programs"  # the first folder in the search path of programs
# Plugins that would use other folders than the given ones, or that only Kubernetes needs.
_CONTAINERD = f"""version = 2
root = "/run/containerd-root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "{_CONTAINERD_SOCKET}"
"""


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """A container's connection: its interface's MAC, the index of the peer, its addresses with prefix length."""

    mac: str
    peer: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RealEngine:
    """A running engine; `around` are the network namespaces of host, client, gateway ..., `root` is its file system."""

    around: Mapping[str, Namespace]
    root: Path
    api: Api

    @property
    def host(self) -> Namespace:
        """Return the engine's network namespace."""
        return self.around["host"]

    @property
    def version(self) -> str:
        """Return the engine's version without a distribution's suffix: 20.10.24."""
        version = str(self.api.get("/version")["Version"])
        return re.split(r"[^\d.]", version)[0]

    def run(self, wanted: DockerHost) -> None:
        """Make networks and containers, in their order; raise EngineRefused if the engine refuses one.

        A container is connected to its further networks after it has started. An engine since 28 connects a container
        that starts on several networks in random order.
        """
        for network in wanted.networks:
            if network.bridge != wishes.DEFAULT_BRIDGE:
                self.api.post("/networks/create", wishes.network(network))
        for container in wanted.containers:
            self.api.post(f"/containers/create?name={container.name}", wishes.container(container))
            self.api.post(f"/containers/{container.name}/start")
            for own in container.also:
                self.api.post(f"/networks/{wishes.called(own.network)}/connect", wishes.connection(container, own))

    def captured(self) -> str:
        """Return the capture that the script of `invoke capture` takes of the engine's host; raise CaptureError."""
        first = self.root.parent.name
        return take(("nsenter", "--target", first, "--mount", "--pid", "--net", "--cgroup"))

    def inside(self, container: Container) -> Namespace:
        """Return the network namespace of a running container; the caller closes it."""
        sandbox = self.api.get(f"/containers/{container.name}/json")["NetworkSettings"]["SandboxKey"]
        return Namespace.open(container.name, self.root / Path(sandbox).resolve().relative_to("/"))

    def attached(self, container: Container) -> list[ContainerEnd]:
        """Return the connections of a running container, network by network."""
        with closing(self.inside(container)) as inside:
            ends = [f"eth{number}" for number in range(len(container.attachments))]
            return inside.netlink(lambda ip: [_attached(ip, end) for end in ends])


def _attached(ip: IPRoute, end: str) -> ContainerEnd:
    link: Any = next(iter(ip.get_links(ifname=end)))
    found: Any = ip.get_addr(index=link["index"], scope=_GLOBAL)
    return ContainerEnd(
        link.get("address"),
        link.get("link"),
        tuple(sorted(f"{one.get('address')}/{one['prefixlen']}" for one in found)),
    )


@contextmanager
def running(programs: EnginePrograms, options: Sequence[str] = (), six: bool = False) -> Iterator[RealEngine]:
    """Run an engine, started with these options of dockerd, with an image for its containers; `six`: its host has IPv6.

    All of it is in namespaces of its own. It is removed when the block is left or the process ends in any way. Raise
    EngineRefused with its last output if it does not start.
    """
    given, links = {_CONFIGURED: _CONTAINERD}, {f"{_INSTEAD}/{name}": path for name, path in programs.instead}
    search = f"{_INSTEAD}:{programs.path}"
    with (
        bare_host(six) as around,
        enclosed(around["host"], _steps(programs, options), given, links, search) as root,
    ):
        api = Api(root / _DOCKER_SOCKET.lstrip("/"), root / "run/dockerd.log")
        api.send(f"/images/create?fromSrc=-&repo={image.NAME}&tag={image.TAG}", image.archive(programs.busybox))
        yield RealEngine(around, root, api)


def _steps(programs: EnginePrograms, options: Sequence[str]) -> tuple[ProgramStart, ProgramStart]:
    containerd = ProgramStart("containerd", (programs.containerd, "--config", _CONFIGURED), _CONTAINERD_SOCKET)
    own = {
        "containerd": _CONTAINERD_SOCKET,
        "data-root": "/run/docker-data",
        "exec-root": "/run/docker",
        "host": f"unix://{_DOCKER_SOCKET}",
        "pidfile": "/run/docker.pid",
        "userland-proxy-path": programs.proxy,
        "storage-driver": "vfs",
        "exec-opt": "native.cgroupdriver=cgroupfs",
    }
    words = (programs.dockerd, *(f"--{name}={value}" for name, value in own.items()), *options)
    return containerd, ProgramStart("dockerd", words, _DOCKER_SOCKET)
