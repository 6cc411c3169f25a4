"""Stories as the kernel would tell them, told without a kernel: enough of iptables for the rules of Docker hosts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from testbed.docker import DockerHost, article
from testbed.docker.network import CLIENT_ADDRESS, HOST_ADDRESS
from testbed.kernel.conntrack import Connection, Tuple
from testbed.observe.header import Header
from testbed.observe.journey import Asked, ChainPass, End, HookPass, Journey, NodePass
from testbed.rules.clauses import Clause
from testbed.rules.counters import ZERO, Counters
from testbed.rules.reading import CounterReading, Line
from testbed.rules.ruleset import Rule, Ruleset
from testbed.story import Followed, Story
from testbed.traffic.packet import Packet

_CLAUSE = re.compile(r"(?:! )?--?[a-z][\w-]*(?: (?!-|! )\S+)*")
_VERDICTS = {"ACCEPT", "DROP", "RETURN", "DNAT", "MASQUERADE", "SNAT"}


@dataclass
class _Way:
    """A packet at a hook, and the counters that go up."""

    rules: Ruleset
    header: Header
    state: str
    entered: str = ""
    left: str = ""
    counted: dict[Line, Counters] = field(default_factory=dict)

    def chain(self, table: str, name: str) -> ChainPass | None:
        if table not in [known.name for known in self.rules.tables]:
            return None
        rules = self.rules.table(table).rules_of(name)
        asked: list[Asked] = []
        for number, rule in enumerate(rules, start=1):
            failed = self.failing(rule)
            if failed is not None:
                asked.append(Asked(number, rule, False, failed=failed))
                continue
            self.count(table, rule.text)
            target = rule.target or ""
            into = None if target in _VERDICTS or not target else self.chain(table, target)
            verdict = f"jump {target}" if into else {"RETURN": "return", "DROP": "drop"}.get(target, "accept")
            asked.append(Asked(number, rule, True, verdict, into=into))
            end = into.end if into else verdict
            if into is None or end in ("accept", "drop"):
                return ChainPass(table, name, tuple(asked), end, rules[number:])
        policy = next(chain.policy for chain in self.rules.table(table).chains if chain.name == name)
        if policy:
            self.count(table, f":{name} {policy}")
        return ChainPass(table, name, tuple(asked), f"policy {policy}" if policy else "end of chain")

    def count(self, table: str, text: str) -> None:
        line = Line(table, text)
        self.counted[line] = self.counted.get(line, ZERO) + Counters(1, self.header.length)

    def failing(self, rule: Rule) -> Clause | None:
        for found in _CLAUSE.finditer(rule.spec):
            wanted = not found[0].startswith("! ")
            option, _, value = found[0].removeprefix("! ").partition(" ")
            if self.holds(option, value) != wanted:
                return Clause(found[0], *found.span())
        return None

    def holds(self, option: str, value: str) -> bool:
        header = self.header
        tests = {
            "-i": lambda: value == self.entered,
            "-o": lambda: value == self.left,
            "-s": lambda: ip_address(header.source) in ip_network(value),
            "-d": lambda: ip_address(header.destination) in ip_network(value),
            "-p": lambda: value == header.protocol,
            "--dport": lambda: int(value) == header.destination_port,
            "--ctstate": lambda: self.state in value.split(","),
            "--dst-type": lambda: header.destination in (str(HOST_ADDRESS.ip), "172.17.0.1"),
            "--match-set": lambda: self.left.startswith(("docker", "br-")),
        }
        return tests.get(option, lambda: True)()


def handshakes(host: DockerHost, rules: Ruleset, title: str, every_port: bool = False) -> Story:
    """A handshake with each TCP port that a host offers, or with the first."""
    offered = host.offered() if every_port else host.offered()[:1]
    before = {Line(table.name, rule.text): ZERO for table, rule in rules.rules}
    before |= {Line(t.name, f":{c.name} {c.policy}"): ZERO for t in rules.tables for c in t.chains if c.policy}
    packets: list[Followed] = []
    for number, (container, port) in enumerate(offered):
        own = container.gateway or container.attachments[0]
        asked = Tuple(str(CLIENT_ADDRESS.ip), str(HOST_ADDRESS.ip), 40000 + number, port.host)
        server = Tuple(str(own.address), str(CLIENT_ADDRESS.ip), port.container, 40000 + number)
        for way in _packets(rules, asked, server, container.name, own.network.bridge):
            counted = CounterReading({line: way[1].get(line, ZERO) for line in before})
            packets.append(Followed(way[0], CounterReading(before), counted))
            before = {line: counters + way[1].get(line, ZERO) for line, counters in before.items()}
            if way[0].arrived is None:
                break
    return Story(title, f"{rules.source}, iptables-nft", article.topology(host), rules, tuple(packets))


def article_story() -> Story:
    return handshakes(article.HOST, article.ruleset(), "The article's handshake")


def _packets(
    rules: Ruleset, asked: Tuple, server: Tuple, web: str, bridge: str
) -> Iterator[tuple[Journey, dict[Line, Counters]]]:
    for flags, length, reply in (("S", 52, False), ("SA", 52, True), ("A", 40, False)):
        first, second = (server, asked) if reply else (asked, server)
        header = _header(first, flags, length)
        state = "NEW" if flags == "S" else "ESTABLISHED"
        entered, left = (bridge, "ens33") if reply else ("ens33", bridge)
        counted: dict[Line, Counters] = {}
        inside = header if reply else _header(_turned(server), flags, length)
        outside = _header(_turned(asked), flags, length) if reply else inside
        passing = _Way(rules, header, state, entered, counted=counted)
        passed_over = () if flags == "S" else ("nat",)
        hooks = [
            _hook("PREROUTING", passing, inside, reply, passed_over),
            _hook("FORWARD", replace(passing, header=inside, left=left), inside, reply, ()),
            _hook("POSTROUTING", replace(passing, header=inside, entered="", left=left), outside, reply, passed_over),
        ]
        stopped = next((n for n, hook in enumerate(hooks, start=1) if any(_drops(c) for c in hook.chains)), 0)
        if stopped:
            hooks = [*hooks[: stopped - 1], replace(hooks[stopped - 1], after=None)]
        lan, host = NodePass("lan", ()), NodePass("host", tuple(hooks))
        sent = _packet(header, 64)
        end = End("delivered", "client" if reply else web) if not stopped else _dropped(hooks[-1])
        tracked = frozenset({"CONFIRMED", "DST_NAT"})
        connection = Connection("tcp", asked, server, {"S": "SYN_SENT", "SA": "SYN_RECV"}.get(flags, "ESTABLISHED"), tracked)
        yield (
            Journey(
                web if reply else "client",
                sent,
                ((host, lan) if reply and not stopped else (host,) if reply else (lan, host)),
                _packet(outside, 63) if not stopped else None,
                end,
                connection if not stopped else None,
            ),
            counted,
        )


def _hook(name: str, way: _Way, after: Header, reply: bool, passed_over: tuple[str, ...]) -> HookPass:
    tables = [table for table in ("raw", "mangle", "nat", "filter") if table not in passed_over]
    known = {(table.name, chain.name) for table in way.rules.tables for chain in table.chains}
    chains = [way.chain(table, name) for table in tables if (table, name) in known]
    over = tuple(f"{table} {name}" for table in passed_over)
    return HookPass(name, way.entered, way.left, way.header, after, way.state, reply, tuple(filter(None, chains)), over)


def _drops(chain: ChainPass) -> bool:
    return chain.end in ("drop", "policy DROP")


def _dropped(hook: HookPass) -> End:
    chain = next(chain for chain in hook.chains if _drops(chain))
    if chain.dropped_by_policy:
        return End("dropped", "host", f"{chain.table} :{chain.chain} DROP")
    last = [(inner, asked) for inner, asked in chain.every if asked.verdict == "drop"][-1]
    return End("dropped", "host", f"{last[0].table} {last[1].rule.text}")


def _turned(way: Tuple) -> Tuple:
    return Tuple(way.destination, way.source, way.destination_port, way.source_port)


def _header(way: Tuple, flags: str, length: int) -> Header:
    return Header(way.source, way.destination, "tcp", 7, 64, length, way.source_port, way.destination_port, flags)


def _packet(header: Header, ttl: int) -> Packet:
    return Packet(
        header.source,
        header.destination,
        "tcp",
        header.identification,
        ttl,
        header.length,
        header.source_port,
        header.destination_port,
        header.flags,
    )
