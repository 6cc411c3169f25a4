"""The same network made by Mininet, if installed: hosts, a switch, links, addresses, routes; no rules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from importlib.resources import files
from typing import Any

from testbed.topology import Node, Topology

INSTALL = "apt-get install --no-install-recommends mininet"
_PROGRAM = str(files(__package__).joinpath("mininet_program.py"))


def installed_for() -> str | None:
    """Return the Python that can import Mininet: the system's, as distributions package it; None if it cannot."""
    python = shutil.which("python3", path=os.defpath)
    if python is None or not shutil.which("mnexec"):
        return None
    tried = subprocess.run([python, "-I", "-c", "import mininet.net"], capture_output=True, check=False)
    return python if tried.returncode == 0 else None


def program(python: str, topology: Topology) -> list[str]:
    """Return the program that builds the topology with Mininet, then stops it."""
    return [python, "-I", _PROGRAM, json.dumps(_plan(topology))]


def _plan(topology: Topology) -> dict[str, Any]:
    """Return the network in Mininet's terms; addresses of scripted endpoints become addresses of kernels."""
    switches = [node.name for node in topology.nodes if _is_switch(node)]
    return {
        "switches": switches,
        "hosts": {node.name: _host(node) for node in topology.nodes if node.name not in switches},
        "links": [
            [_end(topology.node(port.node), port.device) for port in (link.a, link.b)] for link in topology.links
        ],
    }


def _is_switch(node: Node) -> bool:
    return bool(node.bridges) and not node.addresses


def _end(node: Node, device: str) -> dict[str, Any]:
    interface = node.interface(device)
    addresses = (*interface.scripted, *interface.addresses)
    return {
        "node": node.name,
        "device": device,
        "mac": interface.mac,
        "address": str(addresses[0]) if addresses else None,
    }


def _host(node: Node) -> dict[str, Any]:
    """Return its default route, and commands for features that Mininet lacks: bridges inside a host, forwarding."""
    commands = [
        command
        for bridge in node.bridges
        for command in (
            f"ip link add {bridge.name} address {bridge.mac} type bridge",
            *(f"ip address add {address} dev {bridge.name}" for address in bridge.addresses),
            *(f"ip link set {i.name} master {bridge.name}" for i in node.interfaces if i.master == bridge.name),
            f"ip link set {bridge.name} up",
        )
    ]
    if ("net.ipv4.ip_forward", "1") in node.sysctls:
        commands.append("sysctl -w net.ipv4.ip_forward=1")
    ways_out = [str(route.via) for route in node.routes if route.via and route.destination.prefixlen == 0]
    return {"route": f"via {ways_out[0]}" if ways_out else None, "commands": commands}
