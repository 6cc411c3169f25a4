"""The network of the machine itself is the same after a whole run as before."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from own_machine import REPOSITORY, Machine, assert_nothing_is_left
from pyroute2 import NFCTSocket

# What a machine's own life changes: how many connections it tracks now.
VOLATILE = {"/proc/sys/net/netfilter/nf_conntrack_count"}
TESTBEDS = ("192.168.66.", "172.17.", "172.18.", "203.0.113.")
FACTS = """
import json, os, sys
found = {}
for folder, _, files in os.walk("/proc/sys/net"):
    for name in files:
        path = os.path.join(folder, name)
        try:
            found[path] = open(path).read()
        except OSError as error:
            found[path] = error.strerror
print(json.dumps(found))
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


def fingerprint(run: Run) -> dict[str, Any]:
    """Links, addresses, routes, policy routing, neighbours' number, rules of all kinds, sysctls."""

    def said(*command: str) -> str:
        finished = run(*command)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def listed(*command: str) -> list[Any]:
        return json.loads(said("ip", "-json", "-details", *command) or "[]")

    links = [{key: link[key] for key in ("ifindex", "ifname", "flags", "mtu", "address")} for link in listed("link")]
    addresses = [[(a["local"], a["prefixlen"]) for a in link["addr_info"]] for link in listed("addr")]
    sysctls = json.loads(said(sys.executable, "-c", FACTS))
    legacy = {
        table: said("iptables-legacy-save", "-t", table) for table in said("cat", "/proc/net/ip_tables_names").split()
    }
    return {
        "links": links,
        "addresses": addresses,
        "routes": re.sub(r"expires \d+sec", "", said("ip", "route", "show", "table", "all")),
        "policy routing": said("ip", "rule"),
        "rules (nf_tables)": said("nft", "--stateless", "list", "ruleset"),
        "rules (legacy)": legacy,
        "sysctls": {path: value for path, value in sysctls.items() if path not in VOLATILE},
    }


BY_BOTH_BACKENDS = ("test", "--path", "cases/article/test_3_syn.py", "--jobs", "2")
EVERY_KIND_OF_BED = (
    ("test", "--path", "cases/article", "--jobs", "2"),
    ("test", "--path", "cases/engines", "-k", "ipv6 or proxy or networks", "--backend", "nft", "--jobs", "2"),
)


def whole_run(run: Run, name: str, *cases: tuple[str, ...]) -> None:
    """What users do: a bed with a name, a handshake by each backend, cases, a behaviour table."""
    for arguments in (
        ("up", "--name", name),
        ("handshake", "--name", name),
        ("handshake", "--backend", "legacy", "--close"),
        ("down", "--name", name),
        *cases,
        ("behaviours", "--backend", "legacy"),
    ):
        finished = run(sys.executable, "-m", "invoke", *arguments)
        assert finished.returncode == 0, finished.stdout + finished.stderr


def test_a_machine_where_nobody_else_works_is_the_same_to_the_last_sysctl(machine: Machine) -> None:
    before = fingerprint(machine.run)
    assert [link["ifname"] for link in before["links"]] == ["lo"]
    assert len(before["sysctls"]) > 300
    whole_run(machine.run, "mine", *EVERY_KIND_OF_BED)
    assert fingerprint(machine.run) == before
    assert_nothing_is_left(machine)


def test_this_machine_is_the_same_and_has_not_met_an_address_of_a_bed() -> None:
    """Its own traffic goes on meanwhile, so of its connections only those with a bed's addresses are looked for."""
    before = fingerprint(here)
    connections = tracked()
    name = f"untouched-{os.getpid()}"
    assert before["links"]
    try:
        whole_run(here, name, BY_BOTH_BACKENDS)
    finally:
        here(sys.executable, "-m", "invoke", "down", "--name", name)
    assert fingerprint(here) == before
    assert [connection for connection in tracked() - connections if connection.startswith(TESTBEDS)] == []
    assert not [pinned for pinned in names() if pinned.startswith(name)]


def here(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY, timeout=900)


def tracked() -> set[str]:
    """Source and destination of every connection that this machine tracks."""
    with NFCTSocket() as opened:
        entries = [entry.get_attr("CTA_TUPLE_ORIG").get_attr("CTA_TUPLE_IP") for entry in opened.dump()]
    ends = [(entry.get_attr("CTA_IP_V4_SRC"), entry.get_attr("CTA_IP_V4_DST")) for entry in entries]
    return {
        f"{end} in {source} > {destination}" for source, destination in ends for end in (source, destination) if end
    }


def names() -> list[str]:
    folder = Path("/run/netns")
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_the_fingerprint_notices_a_change(machine: Machine) -> None:
    """So that equality means something."""
    before = fingerprint(machine.run)
    for command in (
        ("ip", "link", "set", "lo", "up"),
        ("nft", "add table inet mine"),
        ("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"),
        ("ip", "link", "add", "br-mine", "type", "bridge"),
        ("ip", "rule", "add", "from", "198.51.100.1", "lookup", "main"),
        ("iptables-legacy", "-A", "INPUT", "-j", "ACCEPT"),
    ):
        assert machine.run(*command).returncode == 0
        after = fingerprint(machine.run)
        assert after != before, command
        before = after
