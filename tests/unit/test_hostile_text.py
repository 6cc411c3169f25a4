"""Text from rules, files and names is shown as text: no terminal, browser, renderer or parser acts on it."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import rich.text
from markdown_it import MarkdownIt
from rich.table import Table
from rich.tree import Tree

import testbed
from testbed.behaviour.behaviour import Behaviour
from testbed.behaviour.probes import Probe
from testbed.behaviour.table import parse, rows, text
from testbed.errors import TestbedError, TopologyError
from testbed.report import markdown, sarif, xml
from testbed.report.annotations import _escaped
from testbed.report.page.page import _environment
from testbed.report.terminal import Terminal, Text
from testbed.topology import Bridge, Node, Topology
from testbed.visible import one_line, visible

ANSI = "\x1b[2J\x1b]0;pwn\x07[red]hi[/]:smile:<script>alert(1)</script>"
SHOWN = r"\x1b[2J\x1b]0;pwn\x07[red]hi[/]:smile:<script>alert(1)</script>"
SPAN = "`</code></details> @org/team ![x](http://evil.example/x.png) `"
TEXTS = (
    SPAN,
    "``` @org/team",
    "a | b",
    "a \\| b",
    "a \\\\| @org",
    "`",
    "``",
    " ` ",
    "",
    "<!-- x",
    "&amp; @a",
    "#1",
    "www.evil.example",
    "ends\\",
)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (ANSI, SHOWN),
        ("a\r\nb\tc", "a\\r\nb\tc"),
        ("\x00\x7f\x85\x9b", r"\x00\x7f\x85\x9b"),
        ("\u202eabc\u2028\ufeff", r"\u202eabc\u2028\ufeff"),
        ("\udc80", r"\udc80"),
        ("häßlich ✓ 漢字", "häßlich ✓ 漢字"),
    ],
)
def test_what_does_not_print_is_written_as_its_escape(given: str, shown: str) -> None:
    assert visible(given) == shown
    assert visible(shown) == shown
    assert one_line("a\n\tb") == r"a\n\tb"


def printed(show: Callable[[Terminal], None], **options: object) -> str:
    written = io.StringIO()
    show(Terminal(file=written, width=200, **options))
    return written.getvalue()


def in_a_table() -> Table:
    table = Table("rule", title=ANSI)
    table.add_row(ANSI)
    table.add_row(Text(ANSI, "bold"))
    table.add_row(rich.text.Text(ANSI))
    return table


def in_a_tree() -> Tree:
    tree = Tree(ANSI)
    tree.add(Text.assemble(ANSI, (ANSI, "bold")))
    return tree


@pytest.mark.parametrize("shown", [ANSI, Text(ANSI), Text.assemble("a ", (ANSI, "red")), in_a_table(), in_a_tree()])
def test_a_terminal_shows_escape_sequences_and_markup_as_text(shown: object) -> None:
    plain = printed(lambda out: out.print(shown, soft_wrap=True))
    assert SHOWN in plain
    assert not set(plain) & {"\x1b", "\x07", "\r", "\x9b"}


def test_a_terminal_writes_only_its_own_escape_sequences() -> None:
    coloured = printed(lambda out: out.print(Text(ANSI, "red")), force_terminal=True, color_system="standard")
    assert coloured == f"\x1b[31m{SHOWN}\x1b[0m\n"


def test_nothing_but_the_terminal_uses_richs_console_and_text() -> None:
    """So that no new print can forget it: ruff forbids `print` itself (T20)."""
    folder = Path(testbed.__file__).parent
    forbidden = {"Console", "Text"}
    seen, used = 0, []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rich":
                seen += 1
                used += [path.name for name in node.names if name.name in forbidden | {"print"}]
            elif isinstance(node, ast.Import):
                used += [path.name for name in node.names if name.name.startswith("rich")]
    assert seen > 5
    assert used == ["layout.py", "layout.py", "terminal.py", "terminal.py"]  # layout.py arranges what is text already


def test_an_error_shows_names_and_lines_as_text() -> None:
    error = TestbedError(f"{ANSI} cannot be read.", ANSI)
    assert str(error) == f"{SHOWN} cannot be read.\n{SHOWN}"
    assert error.args == (error.what,)


def elements(source: str) -> list[tuple[str, str]]:
    """Every piece of a Markdown document as GitHub renders it, with the element that it is in."""
    found: list[tuple[str, str]] = []
    for block in MarkdownIt("commonmark", {"html": True}).enable("table").parse(source):
        found += [(token.type, token.content) for token in block.children or []]
        if not block.children:
            found.append((block.type, block.content))
    return [(kind, content) for kind, content in found if content or kind in ("image", "link_open")]


@pytest.mark.parametrize("given", TEXTS)
def test_text_does_not_leave_a_code_span(given: str) -> None:
    assert elements(f"- {markdown.code(given)}") == [("code_inline", given or " ")]
    ((kind, content),) = elements(markdown.plain(given)) or [("text", "")]
    assert (kind, content) in (("code_inline", given), ("text", given))
    assert kind == "code_inline" or not set(given) & set("@#`<![]&*_\\|")


@pytest.mark.parametrize("given", TEXTS)
def test_text_does_not_leave_its_cell(given: str) -> None:
    row = f"| a | b | c |\n| --- | --- | --- |\n| x | {markdown.cell(markdown.code(given))} | y |"
    cells = [content for _, content in elements(row)]
    assert (cells[:4], cells[-1], len(cells)) == (["a", "b", "c", "x"], "y", 6)


@pytest.mark.parametrize("given", [*TEXTS, "```\n@org", "````"])
def test_text_does_not_leave_a_block_of_code(given: str) -> None:
    block = "\n".join(["text", "", *markdown.fenced([given], "diff"), "", "behind"])
    assert elements(block) == [("text", "text"), ("fence", f"{given}\n"), ("text", "behind")]


def test_text_in_the_html_of_a_comment_is_in_code_where_it_could_be_a_mention() -> None:
    assert markdown.in_html("port 80 is open") == "port 80 is open"
    assert markdown.in_html("</summary>@org") == "<code>&lt;/summary&gt;@org</code>"


def test_xml_has_no_character_that_xml_does_not_allow() -> None:
    root = ElementTree.Element("testsuites")
    ElementTree.SubElement(root, "testcase", name=ANSI).text = f"{ANSI}\x00\ufffe\udc80"
    read = ElementTree.fromstring(xml.document(root))
    assert [(case.get("name"), case.text) for case in read] == [(SHOWN, rf"{SHOWN}\x00\ufffe\udc80")]


def test_a_workflow_command_is_one_line_whatever_its_text_says() -> None:
    assert _escaped("a\r\n::error::b % c\x1b", in_property=False) == r"a\r%0A::error::b %25 c\x1b"
    assert _escaped("a,b:c\n", in_property=True) == "a%2Cb%3Ac%0A"


def test_a_sarif_message_has_no_link_of_a_rule() -> None:
    assert sarif._message("see [x](http://evil.example)") == {"text": r"see \[x\](http://evil.example)"}
    assert sarif._message("[2001:db8::1]:80 \x1b") == {"text": r"[2001:db8::1]:80 \x1b"}


def test_a_page_shows_text_as_text() -> None:
    page = _environment().from_string("<b title='{{ said }}'>{{ said }} {{ said | unbroken }}</b>").render(said=ANSI)
    assert "<script" not in page
    assert "\x1b" not in page
    assert page.count(r"\x1b[2J") == 3


def test_a_table_of_behaviours_with_control_characters_is_read_as_it_was_written() -> None:
    found = rows([Behaviour(Probe("client", "tcp", "192.168.66.100", 80), "is dropped", (f"filter -A X {ANSI}",))])
    written = text(found, "rules")
    assert "\x1b" not in written
    assert parse(written, "file") == found


@pytest.mark.parametrize("name", ["../../x", "a/b", "", ".", "a b", "a\nb", "br:0"])
def test_a_name_that_would_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(TopologyError, match="no name for a node"):
        Topology((Node(name),), (), name)
    with pytest.raises(TopologyError, match="the kernel refuses that name"):
        Topology((Node("host", bridges=(Bridge(name, "02:00:00:00:00:01"),)),), ())
