"""Build a network with Mininet, then stop it, one step for each line of input.

The Python that has Mininet runs this program, in separate namespaces. The program prints a line when it is ready and
one after each step. Mininet's check of the machine's limits is skipped: it would raise some of them for the whole
machine (fixLimits in mininet/util.py).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from mininet.net import Mininet  # type: ignore[import-not-found]
from mininet.node import Switch  # type: ignore[import-not-found]


class LinuxBridge(Switch):  # type: ignore[misc]
    """Mininet's LinuxBridge, with `ip` instead of `brctl`, which is seldom installed."""

    def start(self, _: object) -> None:
        self.cmd(f"ip link add {self.name} type bridge")
        for interface in self.intfList():
            if interface.name != "lo":
                self.cmd(f"ip link set {interface.name} master {self.name}")
        self.cmd(f"ip link set {self.name} up")

    def stop(self, deleteIntfs: bool = True) -> None:  # noqa: N803 - Mininet's name
        self.cmd(f"ip link del {self.name}")
        super().stop(deleteIntfs)


def build(plan: dict[str, Any]) -> Any:
    net = Mininet(switch=LinuxBridge, controller=None, build=False)
    for number, name in enumerate(plan["switches"], start=1):
        net.addSwitch(name, dpid=str(number))
    for name, host in plan["hosts"].items():
        net.addHost(name, ip=None, defaultRoute=host["route"])
    for near, far in plan["links"]:
        net.addLink(
            near["node"],
            far["node"],
            intfName1=near["device"],
            intfName2=far["device"],
            addr1=near["mac"],
            addr2=far["mac"],
            params1={"ip": near["address"]},
            params2={"ip": far["address"]},
        )
    net.start()
    for name, host in plan["hosts"].items():
        for command in host["commands"]:
            net[name].cmd(command)
    return net


def say_and_wait() -> None:
    print(flush=True)  # noqa: T201 - the line that the other side waits for
    if not sys.stdin.readline():
        sys.exit()


if __name__ == "__main__":
    Mininet.inited = True
    wanted = json.loads(sys.argv[1])
    say_and_wait()
    standing = build(wanted)
    say_and_wait()
    standing.stop()
    say_and_wait()
