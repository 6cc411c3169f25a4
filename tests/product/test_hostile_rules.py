"""Text of rules that tries to be more than text: it is never executed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from own_machine import Machine, assert_nothing_is_left

HOSTILE = Path(__file__).parents[1] / "data" / "hostile"
CASES = """\
def test_reaches(make_bed, rules_under_test):
    from testbed.docker import article
    from testbed.traffic.layers import IP, TCP
    bed = make_bed(article.HOST, rules=rules_under_test)
    packet = IP(src="192.168.66.1", dst="172.17.0.2") / TCP(sport=40000, dport=80, flags="S", seq=1000)
    assert bed.send("client", packet, to="web", via="192.168.66.100").delivered
"""


def test_text_of_a_rule_is_never_executed_by_mutate(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text('from testbed.tasks import namespace\n\n__all__ = ["namespace"]\n')
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
