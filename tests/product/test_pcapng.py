"""`--pcap`: packets where they passed, with what rules did to them as comments."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_machine import RULES, Machine, assert_nothing_is_left, assert_refused
from scapy.layers.inet import IP
from scapy.utils import PcapNgReader

SWITCH, CONTAINER = "host:ens33 - lan:host", "web:eth0 - host:veth50b382d"


def frames(path: Path) -> list[tuple[str, str, str]]:
    """The capture interface, the destination and the comments of each frame."""
    with PcapNgReader(str(path)) as reader:
        return [
            (frame.sniffed_on, frame[IP].dst, "\n".join(comment.decode() for comment in frame.comments or ()))
            for frame in reader
        ]


@pytest.mark.parametrize("task", ["trace", "handshake"])
@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_packets_of_a_handshake_are_on_every_link_with_comments(
    machine: Machine, tmp_path: Path, task: str, backend: str
) -> None:
    file = tmp_path / "packets.pcapng"
    options = ("--handshake",) if task == "trace" else ()
    finished = machine.invoke(task, *options, "--backend", backend, "--pcap", str(file))
    assert finished.returncode == 0, finished.stderr
    found = frames(file)
    assert [link for link, *_ in found] == [
        *("client:eth0 - lan:client", SWITCH, CONTAINER),
        *(CONTAINER, SWITCH, "client:eth0 - lan:client"),
        *("client:eth0 - lan:client", SWITCH, CONTAINER),
    ]
    first, host, arrived = (comment for *_, comment in found[:3])
    assert first.startswith("SYN of client, 192.168.66.")
    assert "host PREROUTING NEW: nat DOCKER 2 ! -i docker0" in host
    assert "destination 192.168.66.100:80 > 172.17.0.2:80" in host
    assert "host FORWARD NEW: filter DOCKER 1 -d 172.17.0.2/32" in host
    assert arrived == "delivered to web"
    assert [destination for _, destination, _ in found[1:3]] == ["192.168.66.100", "172.17.0.2"]
    assert not any("DROP" in comment for *_, comment in found)
    assert_nothing_is_left(machine)


def test_drop_is_at_the_frame_that_reached_the_rule_with_its_place(machine: Machine, tmp_path: Path) -> None:
    rules, file = tmp_path / "my.rules", tmp_path / "packets.pcapng"
    text = RULES.read_text().replace("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -i ens33 -j DROP")
    rules.write_text(text)
    line = text.splitlines().index("-A DOCKER-USER -i ens33 -j DROP") + 1
    assert machine.invoke("trace", "--rules", str(rules), "--pcap", str(file)).returncode == 1
    (dropped,) = [(link, comment) for link, _, comment in frames(file) if "DROP" in comment]
    assert dropped[0] == SWITCH
    assert f"filter DOCKER-USER 1 -i ens33 -j DROP ({rules}:{line}): DROP" in dropped[1]
    assert "dropped at host: filter -A DOCKER-USER -i ens33 -j DROP" in dropped[1]


def test_drop_by_a_policy_names_the_clauses_that_failed(machine: Machine, tmp_path: Path) -> None:
    file = tmp_path / "packets.pcapng"
    finished = machine.invoke("trace", "--to", "172.17.0.2:81", "--via", "192.168.66.100", "--pcap", str(file))
    assert finished.returncode == 1
    (comment,) = [comment for *_, comment in frames(file) if "DROP" in comment]
    assert "filter FORWARD policy DROP, failed " in comment
    assert "failed --dport 80 of DOCKER 1" in comment


@pytest.mark.parametrize("task", ["trace", "handshake"])
def test_file_that_cannot_be_written_is_refused_before_anything_is_built(machine: Machine, task: str) -> None:
    assert_refused(machine.invoke(task, "--pcap", "/nosuch/x.pcapng"), "there is no folder /nosuch", "Make it")
    assert_refused(machine.invoke(task, "--pcap", "/etc"), "--pcap /etc is a folder", "Give a file")
    assert_nothing_is_left(machine)
