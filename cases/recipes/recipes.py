"""Recipes that are pasted to keep published ports from the world, each with what is to be said of it.

The commands are our own, written for the host of docs/recipes.yaml; what they are meant to do was read in moby's
issues 4737 and 22054, in Docker's documentation of packet filtering and in the README of ufw-docker.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HOST = (Path(__file__).parents[2] / "docs" / "recipes.yaml").read_text()
PORTS, ON_LOOPBACK = 'ports: ["8080:80", "5353:53/udp"]', 'ports: ["127.0.0.1:8080:80", "127.0.0.1:5353:53/udp"]'
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")  # RFC 1918
BOTH = ("iptables", "ip6tables")
DROP_ENS33 = "iptables -I DOCKER-USER -i ens33 -j DROP"
ANSWERS_FIRST = "iptables -I DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is pasted on the host (`commands`, in this order), or written down: other `ports`, a line for `daemon`."""

    name: str
    commands: tuple[str, ...]
    verdict: str
    ports: str = PORTS
    daemon: str = ""

    @property
    def host(self) -> str:
        """The description of the host that it is tried on."""
        daemon = f"daemon:\n  {self.daemon}" if self.daemon else "daemon:"
        return HOST.replace(PORTS, self.ports).replace("daemon:", daemon)

    @property
    def lines(self) -> tuple[str, ...]:
        """What somebody has to write, line by line."""
        return (*filter(None, (self.daemon, self.ports if self.ports != PORTS else "")), *self.commands)


RECIPES = (
    Recipe(
        "nothing",
        (),
        "What Docker does by itself. A published port is open to everybody, over IPv6 too, and to a neighbour who asks "
        "for it at 127.0.0.1. Before 28 he also reaches the container's own address on that port.",
    ),
    Recipe(
        "INPUT, the port",
        ("iptables -I INPUT -p tcp --dport 8080 -j DROP",),
        "Closes nothing. What is published is translated and forwarded, and INPUT never sees it. Whoever depends on "
        "the userland proxy is shut out: the host itself at 127.0.0.1, and containers that ask at the host's address. "
        "`ufw deny 8080` writes such a rule.",
    ),
    Recipe(
        "INPUT, the policy",
        (
            "iptables -A INPUT -i lo -j ACCEPT",
            "iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "iptables -P INPUT DROP",
        ),
        "Closes nothing either, for the same reason, and shuts out containers that ask at the host's address. "
        "`ufw default deny incoming` comes to this.",
    ),
    Recipe(
        "FORWARD, appended",
        ("iptables -A FORWARD -i ens33 -j DROP",),
        "Comes too late: Docker has accepted the packet before. With 29-nftables it stands in a table of its own, "
        "where it is asked all the same; there it drops all of IPv4 that comes in, answers to the containers too.",
    ),
    Recipe(
        "FORWARD, new connections",
        tuple(f"{program} -I FORWARD -i ens33 -m conntrack --ctstate NEW -j DROP" for program in BOTH),
        "Closes all that is forwarded, on every engine, and lets containers' own connections live. What the userland "
        "proxy takes in is not forwarded: before 28 that is IPv6.",
    ),
    Recipe(
        "DOCKER-USER, by interface",
        (DROP_ENS33,),
        "Closes all that is forwarded over IPv4, and cuts the containers off: the answers to what they ask outside "
        "come in by ens33, too. Over IPv6 the port stays open.",
    ),
    Recipe(
        "DOCKER-USER, appended",
        (DROP_ENS33.replace("-I", "-A"),),
        "20.10 and 26.1 end DOCKER-USER with a RETURN, and what is appended behind it is never asked. 28 and 29 do "
        "not, and there it does what the inserted rule does.",
    ),
    Recipe(
        "DOCKER-USER, all but the LAN",
        ("iptables -I DOCKER-USER -i ens33 ! -s 192.168.66.0/24 -j DROP",),
        "Keeps the internet out and lets neighbours in, as it says. The containers are cut off from the internet, "
        "whose answers do not come from the LAN.",
    ),
    Recipe(
        "DOCKER-USER, the host's port",
        ("iptables -I DOCKER-USER -i ens33 -p tcp --dport 8080 -j DROP",),
        "Closes nothing: in DOCKER-USER the packet is translated already, and goes to port 80.",
    ),
    Recipe(
        "DOCKER-USER, the container's port",
        ("iptables -I DOCKER-USER -i ens33 -p tcp --dport 80 -j DROP",),
        "Closes it over IPv4, and port 80 of every other container too, as whatever that is published.",
    ),
    Recipe(
        "DOCKER-USER, the port asked for",
        ("iptables -I DOCKER-USER -i ens33 -p tcp -m conntrack --ctorigdstport 8080 -j DROP",),
        "Closes the port that was asked for, whatever it was translated to; at the container's own address no "
        "packet asks for 8080. It also drops answers to containers that ask for a port 8080 somewhere else.",
    ),
    Recipe(
        "DOCKER-USER, the port asked for, one way",
        ("iptables -I DOCKER-USER -i ens33 -p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j DROP",),
        "The same, and answers pass. It is for TCP over IPv4 alone.",
    ),
    Recipe(
        "DOCKER-USER, answers first",
        (DROP_ENS33, ANSWERS_FIRST),
        "Closes all that is forwarded over IPv4, and the containers keep their connections. Over IPv6 the port stays "
        "open.",
    ),
    Recipe(
        "DOCKER-USER, answers first, IPv6 too",
        tuple(command.replace("iptables", program) for program in BOTH for command in (DROP_ENS33, ANSWERS_FIRST)),
        "Since 28 this closes the port over IPv6, too. Before, Docker writes no rules for IPv6 unless it is told to; "
        "the userland proxy answers there, and its way is INPUT.",
    ),
    Recipe(
        "ufw-docker, its first form",
        (
            "iptables -F DOCKER-USER",
            *(f"iptables -A DOCKER-USER -s {prefix} -j RETURN" for prefix in PRIVATE),
            "iptables -A DOCKER-USER -p udp --sport 53 --dport 1024:65535 -j RETURN",
            *(f"iptables -A DOCKER-USER -d {prefix} -p tcp --syn -j DROP" for prefix in PRIVATE),
            *(f"iptables -A DOCKER-USER -d {prefix} -p udp --dport 0:32767 -j DROP" for prefix in PRIVATE),
        ),
        "Keeps the internet out over IPv4. Whoever has a private address is let in, so every neighbour is. Answers "
        "to a container that asks over UDP from a port below 32768 are dropped, as NTP does from 123.",
    ),
    Recipe(
        "ufw-docker, its later form",
        (
            "iptables -F DOCKER-USER",
            "iptables -A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
            "iptables -A DOCKER-USER -m conntrack --ctstate INVALID -j DROP",
            "iptables -A DOCKER-USER -i docker0 -o docker0 -j ACCEPT",
            *(f"iptables -A DOCKER-USER -s {prefix} -j RETURN" for prefix in PRIVATE),
            *(f"iptables -A DOCKER-USER -d {prefix} -m conntrack --ctstate NEW -j DROP" for prefix in PRIVATE),
        ),
        "The same, and all answers pass. Neighbours are still let in.",
    ),
    Recipe(
        "raw, the port",
        tuple(f"{program} -t raw -I PREROUTING -i ens33 -p tcp --dport 8080 -j DROP" for program in BOTH),
        "Closes the port before anything is translated or taken in, on every engine, in IPv4 and IPv6. It wants "
        "another rule for UDP, and at the container's own address no packet asks for 8080.",
    ),
    Recipe(
        "published on 127.0.0.1",
        (),
        "No process listens at the host's address, and no rule is needed. Before 28 a neighbour who sends a packet for "
        "127.0.0.1, or for the container's own address, is let in.",
        ports=ON_LOOPBACK,
    ),
    Recipe(
        "iptables: false",
        (),
        "Opens more than it closes: the userland proxy listens for everybody, every port of a container is open at "
        "its own address, and what containers send leaves under addresses to which no answer finds the way.",
        daemon="iptables: false",
    ),
    Recipe(
        "iptables: false, rules by hand",
        (
            "iptables -I INPUT -i ens33 -p tcp --dport 8080 -j DROP",
            "iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        ),
        "Now INPUT does close the port, and containers get their answers. Every port of a container is still open at "
        "its own address.",
        daemon="iptables: false",
    ),
)
