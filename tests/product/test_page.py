"""invoke report: the page in a real browser, stepped through by buttons, by keys and by links."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from own_machine import Machine, assert_refused, own_machine
from playwright.sync_api import Browser, Locator, Page, expect

from testbed.coverage.covered import CoveredRule, Report
from testbed.coverage.records import ChainRecord, RuleRecord
from testbed.report import page as report_page

HOST = """
networks:
  front: {}
  back: {}
services:
  web: {networks: [front], ports: ["80:8080", "443:8443"]}
  api: {networks: [front, back], ports: ["8000:8000", "8001:8001"]}
  mail: {network_mode: bridge, ports: ["2525:25", "587:587", "993:993"]}
  metrics: {networks: [back], ports: ["9090:9090"]}
  grafana: {networks: [back], ports: ["3000:3000"]}
  registry: {network_mode: bridge, ports: ["5000:5000"]}
"""
RESULTS = """<testsuites><testsuite name="pytest" timestamp="2026-01-01T12:00:00.5">
<testcase classname="cases.article.test_5_syn_ack" name="test_a_reply_passes_no_rule_of_nat[nft]" time="0.1"/>
<testcase classname="cases.article.test_1_intro" name="test_it" time="0.1"><failure message="1 != 2">why</failure>
</testcase>
</testsuite></testsuites>"""
# The first clause that fails, of every rule that the SYN is held against and does not match.
FAILED_FOR_THE_SYN = [
    "-i docker0",
    "-i docker0",
    "--ctstate RELATED,ESTABLISHED",
    "-s 172.17.0.0/16",
    "-s 172.17.0.2/32",
]
SIZES = pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)], ids=["desk", "phone"])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


@dataclass
class Opened:
    """A page in the browser, with all that it asked for and complained of."""

    page: Page
    path: Path
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def go(self, fragment: str = "") -> Opened:
        self.page.goto(f"{self.path.as_uri()}{fragment}")
        return self

    @property
    def step(self) -> str:
        """The id of the first story's current step."""
        return str(self.page.locator("#story-1 [aria-current=step]").get_attribute("id"))

    def all(self, selector: str) -> Locator:
        return self.page.locator(f"#story-1 {selector}")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the article, and of a host of engine 28.5 with ten ports and a DROP of somebody's."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "ten.yaml").write_text(HOST)
    (folder / "junit.xml").write_text(RESULTS)
    out = folder / "page.html"
    with own_machine() as machine:
        asked = ("--out", str(out), "--host", str(folder / "ten.yaml"), "--engine", "28.5")
        finished = machine.invoke("report", *asked, "--results", str(folder / "junit.xml"))
    assert finished.returncode == 0, finished.stderr
    return out


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Callable[..., Opened]]:
    """Opens the page; at the end it has to have asked for nothing but itself and complained of nothing."""
    made: list[Opened] = []

    def open_page(**options: Any) -> Opened:
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **options})
        shown = Opened(page, report)
        page.on("request", lambda request: shown.requests.append(request.url))
        page.on("console", lambda message: shown.complaints.append(message.text))
        page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        made.append(shown)
        return shown.go()

    yield open_page
    for shown in made:
        assert shown.complaints == []
        assert all(url.startswith((report.as_uri(), "about:")) for url in shown.requests), shown.requests
        shown.page.close()


def test_the_buttons_step_through_the_handshake(opened: Callable[..., Opened]) -> None:
    shown = opened()
    every = [str(step.get_attribute("id")) for step in shown.all(".step").all()]
    following, gone = shown.all("button[data-steps='1']"), [shown.step]
    while following.is_enabled():
        following.click()
        gone.append(shown.step)
    assert gone == every
    assert gone[0].startswith("story-1-syn-1")
    assert gone[-1].startswith("story-1-ack-")
    shown.all("button[data-steps='-1']").click()
    assert shown.step == every[-2]
    shown.all("button[data-packets='-1']").click()
    assert shown.step == "story-1-syn-ack-1"


def test_the_keys_step_and_the_address_follows(opened: Callable[..., Opened]) -> None:
    shown = opened()
    for _ in range(3):
        shown.page.keyboard.press("ArrowRight")
    assert shown.step == "story-1-syn-4"
    assert shown.page.url.endswith("#story-1-syn-4")
    shown.page.keyboard.press("ArrowLeft")
    shown.page.keyboard.press("Shift+ArrowRight")
    assert shown.step == "story-1-syn-ack-1"
    shown.page.keyboard.press("ArrowLeft")
    expect(shown.all(".packet.current h3")).to_contain_text("SYN 52 bytes")
    expect(shown.page.locator("#story-1 .now-step")).to_contain_text("delivered to web")


def test_the_keys_are_for_the_story_that_is_looked_at(opened: Callable[..., Opened]) -> None:
    shown = opened()
    shown.page.evaluate("document.querySelector('#story-2').scrollIntoView()")
    shown.page.keyboard.press("ArrowRight")
    assert shown.step == "story-1-syn-1"
    assert shown.page.url.endswith("#story-2-syn-1-2")


def test_a_click_on_a_rule_makes_it_the_step(opened: Callable[..., Opened]) -> None:
    shown = opened()
    rule = shown.page.locator("#story-1-syn .rule", has_text="-i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2")
    rule.locator("code").click()
    assert shown.step == rule.get_attribute("id")
    expect(shown.all(".now-step")).to_contain_text("failed at -i docker0")


def test_the_slider_steps_by_keys_of_its_own(opened: Callable[..., Opened]) -> None:
    shown = opened()
    shown.all("input").focus()
    shown.page.keyboard.press("ArrowRight")
    shown.page.keyboard.press("ArrowRight")
    assert shown.step == "story-1-syn-3"


@SIZES
def test_a_link_opens_its_step_and_shows_it(opened: Callable[..., Opened], width: int, height: int) -> None:
    shown = opened(viewport={"width": width, "height": height}).go("#story-1-syn-ack-9")
    assert shown.step == "story-1-syn-ack-9"
    box, scrubber = (shown.all(part).bounding_box() for part in ("[aria-current=step]", ".scrubber"))
    stage = shown.all(".stage").bounding_box()
    assert box is not None
    assert scrubber is not None
    assert stage is not None
    assert max(0, stage["y"] + stage["height"]) <= box["y"]
    assert box["y"] + box["height"] <= scrubber["y"]


def test_the_header_is_rewritten_where_nat_does_it(opened: Callable[..., Opened]) -> None:
    shown = opened()
    for kind, changes, chip, hook in (
        ("syn", "192.168.66.100:80 → 172.17.0.2:80", "to", "PREROUTING"),
        ("syn-ack", "172.17.0.2:80 → 192.168.66.100:80", "from", "POSTROUTING"),
    ):
        change = shown.page.locator(f"#story-1-{kind} .change")
        shown.go(f"#{change.get_attribute('id')}")
        expect(shown.all(f"[data-chip={chip}]")).to_have_text(changes)
        expect(shown.all(".now-step b")).to_have_text(f"host · {hook}")
        shown.page.keyboard.press("ArrowLeft")
        expect(shown.all(f"[data-chip={chip}]")).to_have_text(changes.split(" → ")[0])


def test_the_rules_are_those_of_the_article(opened: Callable[..., Opened]) -> None:
    shown = opened()
    syn = shown.page.locator("#story-1-syn")
    assert syn.locator("u").all_text_contents() == FAILED_FOR_THE_SYN
    accepted = syn.locator(".rule", has_text="--dport 80 -j ACCEPT")
    expect(accepted.locator(".m")).to_have_text("✓")
    expect(accepted.locator(".c")).to_have_text("0/0 → 1/52 +1 packet, +52 B")
    for kind in ("syn-ack", "ack"):
        over = shown.page.locator(f"#story-1-{kind} .passed-over")
        assert all("the connection is known" in text for text in over.all_text_contents())
        assert over.count() >= 1


def test_the_claims_stand_beside_the_packets(opened: Callable[..., Opened]) -> None:
    shown = opened()
    for kind, corrected in (("syn", ["A18", "A23", "A26", "A27"]), ("syn-ack", ["A15", "A18", "A19"]), ("ack", [])):
        cards = shown.page.locator(f"#story-1-{kind} .claims .corrected")
        assert [card.locator("a").text_content() for card in cards.all()] == corrected
        assert all("What really happens:" in text for text in cards.all_text_contents())
    assert shown.page.locator("#claims tbody tr").count() == 27
    expect(shown.page.locator("#A14 .run")).to_have_text("✓ 1 passed")
    expect(shown.page.locator("#A15 .run")).to_have_text("· not run")


def test_failures_come_first_in_the_results(opened: Callable[..., Opened]) -> None:
    results = opened().page.locator("#results")
    expect(results.locator(".about")).to_contain_text("✗ 1 failed, ✓ 1 passed")
    expect(results.locator(".failure")).to_contain_text("1 != 2")
    expect(results.locator("tbody tr").first).to_contain_text("test_1_intro")


def test_without_its_script_everything_is_there(opened: Callable[..., Opened]) -> None:
    shown = opened(java_script_enabled=False)
    assert shown.page.locator(".rule:visible").count() == shown.page.locator(".rule").count() > 100
    assert shown.page.locator(".packet:visible").count() == shown.page.locator(".packet").count() == 33
    assert shown.page.locator(".scripted:visible").count() == 0
    shown.go("#story-1-syn-ack-9")
    expect(shown.page.locator("#story-1-syn-ack-9")).to_be_in_viewport()


def test_it_prints_every_packet_and_no_control(opened: Callable[..., Opened]) -> None:
    shown = opened()
    shown.page.emulate_media(media="print")
    assert shown.page.locator(".packet:visible").count() == 33
    assert shown.page.locator("button:visible").count() == 0


@SIZES
@SCHEMES
def test_nothing_sticks_out_and_all_words_can_be_read(
    opened: Callable[..., Opened], width: int, height: int, scheme: str
) -> None:
    shown = opened(viewport={"width": width, "height": height}, color_scheme=scheme)
    assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    colours = shown.page.evaluate(
        "Object.fromEntries(['paper', 'raised', 'tint', 'ink', 'muted', 'accent', 'warm'].map("
        "name => [name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`)]))"
    )
    dark = luminance(colours["paper"]) < luminance(colours["ink"])
    assert dark == (scheme == "dark")
    for ground in ("paper", "raised", "tint"):
        for words in ("ink", "muted", "accent", "warm"):
            assert contrast(colours[ground], colours[words]) >= 4.5, (ground, words)


def contrast(one: str, other: str) -> float:
    """WCAG 2's ratio."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour.strip().removeprefix("#")
    parts = [int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_handshake_and_ten_ports_are_less_than_a_megabyte(opened: Callable[..., Opened], report: Path) -> None:
    assert report.stat().st_size < 1_000_000
    took = opened().page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    print(f"{report.stat().st_size} bytes, loaded in {took:.0f} ms")  # noqa: T201


def test_what_is_wrong_is_said(machine: Machine, tmp_path: Path) -> None:
    out = str(tmp_path / "page.html")
    assert_refused(
        machine.invoke("report", "--out", out, "--results", "none.xml"), "none.xml cannot be read", "--junit"
    )
    assert_refused(
        machine.invoke("report", "--out", "/nowhere/page.html"), "there is no folder /nowhere", "another file"
    )


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_rule_opens_on_the_cases_that_reached_it(browser: Browser, tmp_path: Path, width: int, scripts: bool) -> None:
    """Rendered from data: what is recorded is tried elsewhere."""
    tests = tuple(f"cases/article/test_3_syn.py::test_number_{number}[nft]" for number in range(40))
    words = "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"
    rule = RuleRecord("filter", "DOCKER", 1, words, words, 17, (), 40, 40, tests, tests)
    chain = ChainRecord("filter", "DOCKER", "", 7, 40)
    told = Report("the article's rule set", (chain,), (CoveredRule(rule, never_missed="it asks nothing"),), tests, 1)
    written = tmp_path / "coverage.html"
    written.write_text(report_page.html(report_page.Page("Rule coverage", (), coverage=told)))
    page = browser.new_page(viewport={"width": width, "height": 844}, java_script_enabled=scripts)
    page.goto(written.as_uri())
    last = page.locator(".covered li").last
    expect(last).to_be_hidden()
    page.locator(".covered > summary").click()
    expect(last).to_be_visible()
    expect(last).to_have_text("cases/article/test_3_syn.py::test_number_39[nft]")
    boxes = [shown.bounding_box() for shown in page.locator(".covered > summary > *").all()]
    assert len(boxes) > 5
    assert all(box is None or box["x"] + box["width"] <= width for box in boxes)
    page.close()
