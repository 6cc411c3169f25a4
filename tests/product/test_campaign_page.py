"""invoke mutate --html and invoke coverage --html: what no case noticed, and what none reached, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from own_machine import own_machine
from playwright.sync_api import Locator, Page, expect

SIZES = pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)], ids=["desk", "phone"])
PAGES = pytest.mark.parametrize("name", ["mutants", "coverage"])
TASKS = 'from testbed.tasks import namespace\n\n__all__ = ["namespace"]\n'
RULE = "-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT"
RULES = f"*filter\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n{RULE}\nCOMMIT\n"
CASES = """\
from testbed.traffic.layers import ICMP, IP

WEB, CLIENT, HOST = "172.17.0.2", "192.168.66.1", "192.168.66.100"


def test_the_lan_reaches_the_web_server(bed):
    assert bed.connect("client", (WEB, 80), via=HOST).syn.delivered_to == "web"
    asked = IP(src=CLIENT, dst=WEB) / ICMP(type=8, id=1)
    assert not bed.send(asked, "client", via=HOST).delivered
"""
EVERY_PORT = "clause removed in filter FORWARD"
OUTPUT_DROPS = "other policy of filter OUTPUT"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of one rule with one case, which asks for no port but the one that is open."""
    made = tmp_path_factory.mktemp("campaign")
    (made / "cases").mkdir()
    for name, text in (("tasks.py", TASKS), ("my.rules", RULES), ("cases/test_own.py", CASES), ("pyproject.toml", "")):
        (made / name).write_text(text)
    with own_machine() as machine:
        for words in (
            ("mutate", "--jobs", "0", "--journal", "journal", "--fail-under", "0", "--html", "mutants.html"),
            ("coverage", "--jobs", "0", "--html", "coverage.html"),
        ):
            finished = machine.invoke(*words, "--rules", "my.rules", folder=made)
            assert finished.returncode == 0, finished.stdout + finished.stderr
    return made


def survivor(page: Page, title: str) -> Locator:
    """The entry of one mutant that no case killed."""
    found = page.locator(".mutant").filter(has=page.get_by_role("heading", name=title))
    expect(found).to_have_count(1)
    return found


def counted(page: Page) -> dict[str, int]:
    """The numbers of mutants by what became of them."""
    rows = page.locator("#mutation .numbers div").all()
    return {row.locator("dt").inner_text(): int(row.locator("dd").inner_text()) for row in rows}


def test_the_killed_are_counted_and_who_survives_is_shown(opened: Callable[..., Page]) -> None:
    page = opened("mutants")
    numbers = counted(page)
    assert numbers["killed by behaviour"] > 3
    assert numbers["survived"] > 0
    assert numbers["no case reaches it"] > 0
    assert numbers["made"] == sum(number for name, number in numbers.items() if name != "made")
    assert page.locator(".mutant").count() == numbers["survived"] + numbers["no case reaches it"]
    killed = numbers["killed by behaviour"] + numbers["killed by counters only"]
    judged = killed + page.locator(".mutant").count()
    expect(page.locator("h2")).to_contain_text(f"notice {100 * killed / judged:.1f} %")
    expect(page.locator("#mutation meter")).to_be_visible()


def test_a_survivor_has_its_title_its_line_its_witness_and_a_case(opened: Callable[..., Page]) -> None:
    one = survivor(opened("mutants"), EVERY_PORT)
    expect(one.locator("header")).to_contain_text("no case notices it of the 1 that reach it")
    expect(one.locator(".where")).to_have_text("my.rules, line 4, table filter")
    was, now = one.locator(".edit code").all()
    expect(was).to_have_text(RULE)
    expect(now).to_have_text(RULE.replace(" -m tcp --dport 80", ""))
    expect(one.locator(".witness")).to_contain_text("newly open")
    expect(one.locator(".witness > h4 code")).to_have_text("client tcp 172.17.0.2:9 handed to the host")
    before, after = one.locator(".outcomes dd").all()
    expect(before).to_contain_text("is dropped by filter :FORWARD DROP")
    expect(after).to_contain_text("reaches web at 172.17.0.2:9")
    case = one.locator("details pre")
    expect(case).to_be_hidden()
    one.locator("summary").click()
    expect(case).to_be_visible()
    expect(case).to_contain_text("address='172.17.0.2'")
    expect(case).to_contain_text("expected='not delivered'")


def test_what_no_case_reaches_is_said_to_be_so(opened: Callable[..., Page]) -> None:
    one = survivor(opened("mutants"), OUTPUT_DROPS)
    expect(one.locator("header")).to_contain_text("no case reaches it")
    expect(one.locator(".edit")).to_contain_text(":OUTPUT DROP")
    expect(one.locator(".witness")).to_contain_text("newly closed")


@SIZES
def test_rules_are_shaded_and_a_click_shows_their_cases(opened: Callable[..., Page], width: int, height: int) -> None:
    page = opened("coverage", viewport={"width": width, "height": height})
    whole, partly, never = (
        page.locator(".covered").filter(has_text=text) for text in (":FORWARD DROP", "-A FORWARD", ":OUTPUT ACCEPT")
    )
    shades = [rule.evaluate("one => getComputedStyle(one).backgroundColor") for rule in (whole, partly, never)]
    assert len(set(shades)) == 3
    for rule, words in ((whole, "decided ✓ 1"), (partly, "missed ✓ 1"), (never, "decided ✗")):
        expect(rule.locator("summary").get_by_text(words)).to_be_visible()
    case = partly.locator("li", has_text="test_own.py::test_the_lan_reaches_the_web_server")
    expect(case).to_be_hidden()
    partly.locator("summary code").click()
    expect(case).to_be_visible()
    never.locator("summary code").click()
    expect(never.get_by_text("No case reached it.")).to_be_visible()
    expect(page.locator(".shares dd").first).to_have_text("67 % 2 of 3")
    boxes = [meter.bounding_box() for meter in page.locator(".shares meter").all()]
    assert len({box["y"] for box in boxes if box is not None}) == 1  # on one line, however their names are broken


@PAGES
@SIZES
def test_nothing_sticks_out(opened: Callable[..., Page], name: str, width: int, height: int) -> None:
    page = opened(name, viewport={"width": width, "height": height})
    entries = page.locator("#mutation .mutant, #coverage .covered")
    assert entries.count() > 1
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    papers = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        boxes = [entry.bounding_box() for entry in entries.all()]
        assert all(box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    assert len(papers) == 2


def test_it_prints_the_proposed_cases(opened: Callable[..., Page]) -> None:
    page = opened("mutants")
    page.emulate_media(media="print")
    box = survivor(page, EVERY_PORT).locator("details pre").bounding_box()
    assert box is not None
    assert box["height"] > 0
