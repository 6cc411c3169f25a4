"""invoke diff --html: two rule sets side by side, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from own_machine import RULES, assert_refused, own_machine
from playwright.sync_api import Page, expect

SIZES = pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)], ids=["desk", "phone"])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])
CLOSED, MOVED = "#cause-1", "#cause-2"
REPLIES = "-A DOCKER-USER -i docker0 -p tcp -m tcp --sport 80 -m conntrack --ctstate ESTABLISHED -j DROP"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of the article's rules beside such as shut out the LAN, and of the way back from a table."""
    made = tmp_path_factory.mktemp("difference")
    shut = made / "shut.rules"
    shut.write_text(RULES.read_text().replace("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -i ens33 -j DROP"))
    meant = RULES.read_text().replace("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -i ens3 -j DROP")
    (made / "mistyped.rules").write_text(meant)
    (made / "replies.rules").write_text(RULES.read_text().replace("-A DOCKER-USER -j RETURN", REPLIES))
    with own_machine() as machine:
        assert machine.invoke("behaviours", "--rules", str(shut), "--out", str(made / "table")).returncode == 0
        for name, old, new in (
            ("shut", RULES, shut),
            ("mistyped", shut, made / "mistyped.rules"),
            ("replies", RULES, made / "replies.rules"),
            ("table", made / "table", RULES),
            ("same", RULES, RULES),
        ):
            finished = machine.invoke("diff", str(old), str(new), "--html", str(made / f"{name}.html"))
            assert finished.returncode == (name != "same"), finished.stderr
    return made


def test_each_cause_has_its_kind_its_witness_and_what_became_of_it(opened: Callable[..., Page]) -> None:
    page = opened("shut")
    expect(page.locator("h2")).to_have_text("12 regions of packets behave differently")
    assert page.locator(".cause").count() == page.locator(".overview li").count() == 2
    moved = page.locator(".overview li.by-another-rule span").last
    expect(moved).to_contain_text("is dropped by filter :FORWARD DROP → by filter -A DOCKER-USER -i ens33 -j DROP")
    cause = page.locator(CLOSED)
    expect(cause.locator("h3")).to_contain_text("\N{MINUS SIGN} newly closed tcp from ens33 to")
    expect(cause.locator("> .note").first).to_contain_text("witness from client: SYN 192.168.66.1:40000 >")
    before, now = cause.locator(".outcomes dd").all()
    expect(before).to_contain_text("✓ reaches web at 172.17.0.2:80")
    expect(now).to_contain_text("✗ is dropped by filter -A DOCKER-USER -i ens33 -j DROP")


def test_the_rule_where_the_ways_part_is_marked_on_both_sides_on_one_line(opened: Callable[..., Page]) -> None:
    cause = opened("shut").locator(CLOSED)
    old, new = cause.locator(".told.parts").all()
    expect(old).to_contain_text("-j RETURN")
    expect(new).to_contain_text("-i ens33 -j DROP")
    boxes = [line.bounding_box() for line in (old, new)]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]


def test_the_clause_that_fails_is_underlined(opened: Callable[..., Page]) -> None:
    cause = opened("mistyped").locator(CLOSED)
    expect(cause.locator("h3")).to_contain_text("newly open")
    expect(cause.locator(".apart u")).to_have_text("-i ens3")
    expect(cause.locator(".told.parts.failed u")).to_have_text("-i ens3")


def test_the_way_of_a_reply_is_shown_where_replies_part(opened: Callable[..., Page]) -> None:
    cause = opened("replies").locator(CLOSED)
    expect(cause.locator("h3")).to_contain_text("newly closed replies: tcp")
    expect(cause.locator("> .note").first).to_contain_text("witness from web: SYN/ACK 172.17.0.2:80 >")
    assert cause.locator("> .pair .told.parts").count() == 2


@pytest.mark.parametrize("scripts", [True, False], ids=["", "no script"])
def test_the_filter_leaves_one_kind(opened: Callable[..., Page], scripts: bool) -> None:
    page = opened("shut", java_script_enabled=scripts)
    expect(page.locator(".kinds")).to_contain_text("by another rule 6")
    page.get_by_text("by another rule", exact=False).first.click()
    assert page.locator(".cause:visible").count() == page.locator(".overview li:visible").count() == 1
    expect(page.locator(MOVED)).to_be_visible()
    page.locator("#kind-all").check(force=True)
    assert page.locator(".cause:visible").count() == 2


def test_the_filter_and_all_that_is_folded_are_used_by_keys(opened: Callable[..., Page]) -> None:
    page = opened("shut")
    page.locator("#kind-all").focus()
    page.keyboard.press("ArrowRight")
    assert [cause.get_attribute("id") for cause in page.locator(".cause:visible").all()] == [CLOSED[1:]]
    summary = page.locator(f"{CLOSED} .others summary")
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"{CLOSED} .others li").first).to_be_visible()
    assert page.locator(f"{CLOSED} .others li").count() == 5


def test_a_link_leads_to_its_cause_whatever_the_filter_hides(opened: Callable[..., Page]) -> None:
    page = opened("shut", fragment=MOVED)
    expect(page.locator(MOVED)).to_be_in_viewport()
    page.locator("#kind-newly-closed").check(force=True)
    expect(page.locator(MOVED)).to_be_visible()
    page.locator(f"{CLOSED} h3 a").click()
    expect(page.locator(CLOSED)).to_be_in_viewport()
    assert page.url.endswith(CLOSED)
    expect(page.locator(MOVED)).to_be_hidden()


def test_of_a_table_no_way_is_shown_and_that_is_said(opened: Callable[..., Page]) -> None:
    cause = opened("table").locator(CLOSED)
    expect(cause.locator("> .note").first).to_have_text(
        "A A table has no ways that could be shown: only rules can be asked again."
    )
    assert cause.locator("ol[aria-label='A, before'] .told").count() == 0
    assert cause.locator("ol[aria-label='B, now'] .told").count() > 10


def test_what_does_not_differ_is_said(opened: Callable[..., Page]) -> None:
    expect(opened("same").locator(".difference")).to_contain_text("Both sides do the same with every packet.")


@SIZES
@SCHEMES
def test_nothing_sticks_out(opened: Callable[..., Page], width: int, height: int, scheme: str) -> None:
    page = opened("shut", viewport={"width": width, "height": height}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    old, new = (page.locator(f"{CLOSED} .pair.parted ol").nth(side).bounding_box() for side in (0, 1))
    assert old is not None
    assert new is not None
    assert (old["y"] == new["y"]) == (width > 899)  # beside each other, or one below the other


def test_it_prints_all_causes_with_what_is_folded_and_no_control(opened: Callable[..., Page]) -> None:
    page = opened("shut")
    page.emulate_media(media="print")
    assert page.locator(".cause:visible").count() == 2
    assert page.locator(".kinds:visible").count() == 0
    assert page.locator(f"{CLOSED} .others li").first.bounding_box() is not None


def test_a_page_that_cannot_be_written_is_refused() -> None:
    with own_machine() as machine:
        finished = machine.invoke("diff", "article", "article", "--html", "/nowhere/page")
    assert_refused(finished, "there is no folder /nowhere", "another file")
