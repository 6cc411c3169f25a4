"""Text of rules that tries to be more than text: it is never executed."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from own_machine import Machine, assert_nothing_is_left, assert_refused

HOSTILE = Path(__file__).parents[1] / "data" / "hostile"
TASKS = 'from testbed.tasks import namespace\n\n__all__ = ["namespace"]\n'
CASES = """\
def test_reaches(make_bed, testbed_rules):
    from testbed.docker import article
    from testbed.traffic.layers import IP, TCP
    bed = make_bed(article.HOST, rules=testbed_rules)
    packet = IP(src="192.168.66.1", dst="172.17.0.2") / TCP(sport=40000, dport=80, flags="S", seq=1000)
    assert bed.send(packet, "client", via="192.168.66.100").delivered_to == "web"
"""


def test_text_of_a_rule_is_never_executed_by_mutate(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "test_reaches.py").write_text(CASES)
    (tmp_path / "my.rules").write_text((HOSTILE / "code-execution.rules").read_text())
    finished = machine.invoke(
        *("mutate", "--rules", "my.rules", "--path", "cases", "--jobs", "2", "--strong", "--journal", "journal"),
        *("--fail-under", "0", "--markdown", "comment.md"),
        folder=tmp_path,
    )
    assert finished.returncode in (0, 1), finished.stderr
    assert "the cases notice" in finished.stdout
    assert not list(tmp_path.rglob("pwned*"))
    proposed = re.findall(r"```+python\n(.*?)```", (tmp_path / "comment.md").read_text(), re.DOTALL)
    assert proposed
    for source in proposed:
        called = {node.func.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}  # type: ignore[attr-defined]
        assert called == {"check", "PacketCase"}
    assert_nothing_is_left(machine)


@pytest.mark.parametrize(
    "command",
    [
        ("trace", "--from", "web", "--to", "192.168.66.1:443"),
        ("trace", "--to", "172.17.0.2:80", "--via", "192.168.66.100", "--backend", "legacy"),
        ("behaviours",),
        ("diff", "article", "ansi.rules"),
        ("diff", "article", "ansi.rules", "--list"),
        ("diff", "article", "ansi.rules", "--json"),
        ("diff", "article", "ansi.rules", "--annotations"),
        ("handshake", "--from", "web", "--to", "192.168.66.1:443"),
    ],
)
def test_escape_sequences_and_markup_in_a_comment_are_shown_as_text(
    machine: Machine, tmp_path: Path, command: tuple[str, ...]
) -> None:
    shutil.copy(HOSTILE / "ansi.rules", tmp_path)
    (tmp_path / "tasks.py").write_text(TASKS)
    rules = () if command[0] == "diff" else ("--rules", "ansi.rules")
    finished = machine.invoke(*command, *rules, folder=tmp_path)
    assert finished.returncode in (0, 1), finished.stderr
    assert not {"\x1b", "\x07", "\r"} & set(finished.stdout + finished.stderr)
    said = "newly open: any IPv4 from ens33" if "--list" in command else "ansi.rules"  # a list names no file
    assert "203.0.113.10" in finished.stdout or said in finished.stdout or command[0] == "handshake"
    if command[0] in ("trace", "behaviours", "handshake"):
        assert r"\x1b[2J\x1b]0;pwn\x07[red]hi[/]" in finished.stdout
    assert_nothing_is_left(machine)


def test_a_comment_does_not_leave_its_code_in_a_pull_requests_comment(machine: Machine, tmp_path: Path) -> None:
    shutil.copy(HOSTILE / "md.rules", tmp_path)
    (tmp_path / "tasks.py").write_text(TASKS)
    more = ("--markdown", "comment.md", "--html", "page.html", "--sarif", "log.sarif")
    finished = machine.invoke("diff", "article", "md.rules", *more, folder=tmp_path)
    assert finished.returncode == 1, finished.stderr
    tokens = [
        token
        for block in MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .parse((tmp_path / "comment.md").read_text())
        for token in (block.children or [block])
    ]
    saying = {token.type for token in tokens if "@org/team" in token.content}
    assert saying == {"code_inline", "fence"}
    assert not [token.type for token in tokens if token.type in ("image", "link_open")]
    page = (tmp_path / "page.html").read_text()
    assert "@org/team" in page
    assert "</code></details> @org" not in page
    results = json.loads((tmp_path / "log.sarif").read_text())["runs"][0]["results"]
    said = [result["message"]["text"] for result in results if "evil" in result["message"]["text"]]
    assert said
    assert not [text for text in said if re.search(r"(?<!\\)\]\(", text)]


def test_a_clause_without_its_value_is_refused_with_its_line(machine: Machine) -> None:
    refused = machine.invoke("trace", "--rules", str(HOSTILE / "indexerror.rules"))
    said = "indexerror.rules, line 3: '-A FORWARD -s ! -o docker0' is not understood: -s has no value."
    assert_refused(refused, said, "Give the whole of what iptables-save prints")


def test_a_control_character_in_a_host_file_is_refused_with_its_line(machine: Machine) -> None:
    refused = machine.invoke("trace", "--host", str(HOSTILE / "control-char.yaml"))
    said = r"control-char.yaml, line 3: the character \x06 is not allowed in YAML."
    assert_refused(refused, said, "Delete that character.")
