"""Namespaces: whose they are, who is in them, and that nothing leaks out of them."""

from __future__ import annotations

import gc
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from testbed.kernel import devices
from testbed.kernel.linkwatch import LinkWatch
from testbed.kernel.namespace import Namespace, quarantine
from testbed.topology import Interface, Link, Node, Port, Topology

OWN = Path("/proc/thread-self/ns/net")


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    made = Namespace.create("fresh")
    yield made
    made.close()


def device_names() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def test_a_new_namespace_holds_loopback_alone(namespace: Namespace) -> None:
    assert namespace.run(device_names) == ["lo"]


def test_the_calling_thread_stays_where_it_was(namespace: Namespace) -> None:
    before = OWN.stat().st_ino
    inside = namespace.run(OWN.stat).st_ino
    assert OWN.stat().st_ino == before
    assert inside != before
    assert namespace.identity[1] == inside


def test_netlink_asked_from_any_thread_configures_that_namespace_and_no_other(namespace: Namespace) -> None:
    """A pyroute2 object used from a second thread would open a socket in that thread's namespace."""
    elsewhere = device_names()

    def add_bridge(ip: IPRoute) -> None:
        ip.link("add", ifname=f"br-{ip.get_links()[-1]['index']}", kind="bridge")

    threads = [threading.Thread(target=namespace.netlink, args=(add_bridge,)) for _ in range(3)]
    for thread in threads:
        thread.start()
        thread.join()
    assert len(namespace.run(device_names)) == 4
    assert device_names() == elsewhere


def test_a_socket_belongs_to_the_namespace_it_was_opened_in(namespace: Namespace) -> None:
    namespace.netlink(lambda ip: ip.link("set", index=1, state="up"))
    with namespace.run(socket.create_server, ("127.0.0.1", 7777)), socket.socket() as here:
        assert here.connect_ex(("127.0.0.1", 7777)) != 0
        with namespace.run(socket.create_connection, ("127.0.0.1", 7777)) as inside:
            assert inside.getpeername() == ("127.0.0.1", 7777)


def test_programs_run_inside(namespace: Namespace) -> None:
    assert namespace.command(["ip", "-brief", "link"]).stdout.split()[0] == "lo"


def test_a_closed_namespace_takes_its_links_with_it() -> None:
    """The kernel removes the far end too; its announcement is waited for, since the removal is a worker's."""
    a, b = Namespace.create("a"), Namespace.create("b")
    ends = (("a", "02:00:00:00:00:0a"), ("b", "02:00:00:00:00:0b"))
    nodes = tuple(Node(name, (Interface("eth0", mac),)) for name, mac in ends)
    topology = Topology(nodes, (Link(Port("a", "eth0"), Port("b", "eth0")),), host="a")
    devices.build(topology, {"a": a, "b": b})
    watch = b.run(link_events)
    a.close()
    while "eth0" in b.run(device_names):
        assert watch.recv(1 << 16)
    watch.close()
    b.close()


def link_events() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    opened.bind((0, 1))
    opened.settimeout(10)
    return opened


def test_a_link_that_never_comes_up_is_reported(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.kernel.linkwatch._DEADLINE", 0.05)
    with pytest.raises(Exception, match="fresh:eth7 has not come up"):
        LinkWatch(namespace).wait_until_up(["eth7"])


def test_in_quarantine_there_is_no_network() -> None:
    outside = OWN.stat().st_ino
    with quarantine():
        assert OWN.stat().st_ino != outside
        assert device_names() == ["lo"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
            assert opened.connect_ex(("198.51.100.1", 53)) != 0
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(OWN.stat().st_ino))
        thread.start()
        thread.join()
        assert found != [outside]
    assert OWN.stat().st_ino == outside


def test_a_hundred_namespaces_leave_no_descriptor(namespace: Namespace) -> None:
    def descriptors() -> int:
        """How many there are once everything that was closed, here or by a test before, has been let go of."""
        for thread in threading.enumerate():
            if thread.name.startswith("netns-") and thread.name.split("_")[0] not in (
                "netns-fresh",
                "netns-quarantine",
            ):
                thread.join()
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    def make_and_close() -> None:
        made = Namespace.create("brief")
        made.netlink(lambda ip: ip.get_links())
        made.close()

    namespace.run(device_names)
    make_and_close()
    before = descriptors()
    repeat(make_and_close, 100)
    assert descriptors() == before


def repeat(action: Callable[[], None], times: int) -> None:
    for _ in range(times):
        action()
