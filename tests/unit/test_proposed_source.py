"""A proposed case is shown as source in which text of rules, hosts and names is a literal, and nothing else."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from testbed.behaviour.case import BEHAVES, COUNTED, PacketCase
from testbed.behaviour.mutants import mutants
from testbed.docker import article
from testbed.docker.host import DockerHost, GatewayMode, Network, PublishedPort
from testbed.errors import TestbedError
from testbed.mutation.literal import expression, imports
from testbed.mutation.proposal import Proposal, Setting
from testbed.mutation.source import source
from testbed.rules.ruleset import Rule

HOSTILE = (
    '"""+str(__import__("os").system("id"))+"""',
    "'''+str(__import__('os').system('id'))+'''",
    "x'); __import__('os').system('id') #",
    "<a.b: ",
    ">",
    "end\\",
    "line\n    __import__('os').system('id')",
    "\x1b]0;title\x07",
    "\u202e\u2028\r",
    "{__import__('os')}",
    "%s",
)
CASE = PacketCase("client", "tcp", "172.17.0.2", 80, BEHAVES, outcome="is dropped")
CALLED = {"check", "PacketCase", "make_bed", "engine", "rules", "DockerHost", "Network", "Container", "PublishedPort"}
ADDRESSES = {"IPv4Interface", "IPv4Address"}


def shown(case: PacketCase, host: DockerHost = article.HOST, rule: str = "-j DROP", engine: str = "") -> str:
    rules = article.ruleset()
    mutant = replace(next(iter(mutants(rules))), rule=Rule("FORWARD", rule))
    return source(mutant, Proposal(Setting(host, rules, engine), case))


def calls(text: str) -> set[str]:
    """The names of everything that a source would call."""
    called = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return {name.id if isinstance(name, ast.Name) else name.attr for name in called if not isinstance(name, ast.Call)}


def strings(text: str) -> set[object]:
    return {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_rules_stands_as_a_literal_in_a_proposed_case(text: str) -> None:
    written = shown(replace(CASE, expected=COUNTED, outcome="", counters=("*filter", text)), rule=text)
    assert calls(written) == {"check", "PacketCase"}
    (told,) = (found for found in strings(written) if str(found).startswith("Kills the mutant delete-"))
    assert str(told).endswith(f"rule removed from filter FORWARD: {Rule('FORWARD', text).text}")
    assert strings(written) >= {text, "*filter"}
    assert "\x1b" not in written


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("engine", ["", "28"])
def test_names_of_a_host_stand_as_literals_in_a_proposed_case(text: str, engine: str) -> None:
    network = replace(article.DOCKER0, name=text, mode=GatewayMode.ROUTED)
    web = replace(article.WEB, name=text + "web", network=network, veth=text)
    written = shown(replace(CASE, at=text), DockerHost((network,), (web,)), engine=engine)
    assert {"DockerHost", "Network", "Container", "check", "make_bed"} <= calls(written) <= CALLED | ADDRESSES
    assert {text, text + "web"} <= strings(written)


@pytest.mark.parametrize("text", HOSTILE)
def test_an_expression_is_equal_to_its_value(text: str) -> None:
    network = replace(article.DOCKER0, name=text, mode=GatewayMode.ISOLATED, internal=True)
    host = DockerHost((network,), (), userland_proxy=False)
    names = {name for _, name in imports(host)}
    assert names == {"DockerHost", "Network", "GatewayMode", "IPv4Interface"}
    values = {"DockerHost": DockerHost, "Network": Network, "GatewayMode": GatewayMode}
    values |= {"IPv4Interface": type(network.gateway)}
    assert eval(expression(host), values) == host
    assert ast.literal_eval(expression((text, 1, None, True))) == (text, 1, None, True)


def test_a_value_without_an_expression_is_refused() -> None:
    with pytest.raises(TypeError, match="no expression for a list"):
        expression(["x"])
    assert expression((PublishedPort(80, 80),)) == "(PublishedPort(host=80, container=80),)"


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"expected": "exec"}, "expected"), ({"protocol": "x"}, "protocol"), ({"state": "x"}, "state")],
)
def test_a_case_that_says_nothing_known_is_refused(changed: dict[str, str], said: str) -> None:
    with pytest.raises(TestbedError, match=said):
        replace(CASE, **changed)  # type: ignore[arg-type]
