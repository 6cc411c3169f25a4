"""The page as text: what a user wrote stays text, every link leads somewhere, nothing is fetched."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from testbed.claims import Claim
from testbed.docker import article
from testbed.kernel.conntrack import Connection, Tuple
from testbed.observe.header import TracedHeader
from testbed.observe.journey import (
    DROPPED,
    ChainTraversal,
    HookTraversal,
    Journey,
    JourneyEnd,
    NodeTraversal,
    RuleEvaluation,
)
from testbed.observe.verdict import ChainEnd
from testbed.report.page import Page, html
from testbed.report.results import FAILED, PASSED, Result, Results
from testbed.rules import save
from testbed.rules.clauses import clauses
from testbed.rules.counters import Counters
from testbed.rules.reading import CounterReading
from testbed.rules.reference import RuleReference
from testbed.traced_connection import CountedJourney, Story
from testbed.traffic.packet import Packet

SCRIPT = "<script>alert(1)</script>"
RULES = save.parse(f"""*filter
:FORWARD DROP [0:0]
:OWN - [0:0]
:UNUSED - [0:0]
-A FORWARD -j OWN
-A FORWARD -j ACCEPT
-A OWN -i docker0 -j RETURN
-A OWN -p tcp -m comment --comment "{SCRIPT} & more" -j DROP
-A OWN -j RETURN
COMMIT
""")
FORWARD, OWN = (RULES.table("filter").rules_of(chain) for chain in ("FORWARD", "OWN"))
SYN = Packet("192.168.66.1", "172.17.0.2", "tcp", 7, 64, 52, 40000, 80, "S")
HEADER = TracedHeader("192.168.66.1", "172.17.0.2", "tcp", 7, 64, 52, 40000, 80, "S")


class Reader(HTMLParser):
    """Reads ids, links, what would be fetched, and the elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.elements: Counter[str] = Counter()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements[tag] += 1
        if "id" in attributes:
            self.ids[attributes["id"]] += 1
        if tag == "a":
            self.links.append(attributes["href"])
        self.fetched += [attributes[name] for name in ("src", "srcset", "data") if name in attributes]
        if tag == "link":
            self.fetched.append(attributes["href"])


def dropped(hook: HookTraversal) -> Journey:
    """A SYN that OWN drops in FORWARD."""
    end = JourneyEnd(DROPPED, "host", RuleReference("filter", "OWN", 2, OWN[1].text))
    return Journey("client", SYN, (NodeTraversal("host", (hook,)),), None, end, None)


@pytest.fixture
def hook() -> HookTraversal:
    own = ChainTraversal(
        "filter",
        "OWN",
        (RuleEvaluation(1, OWN[0], False, failed=clauses(OWN[0].spec)[0]), RuleEvaluation(2, OWN[1], True, "drop")),
        ChainEnd.DROP,
        OWN[2:],
    )
    forward = ChainTraversal(
        "filter", "FORWARD", (RuleEvaluation(1, FORWARD[0], True, "jump OWN", into=own),), ChainEnd.DROP, FORWARD[1:]
    )
    return HookTraversal("FORWARD", "ens33", "docker0", HEADER, None, "NEW", False, (forward,))


@pytest.fixture
def story(hook: HookTraversal) -> Story:
    before = CounterReading.of(("filter", rule.text, Counters(1, 60)) for _, rule in RULES.rules)
    counted = CounterReading.of(
        ("filter", rule.text, Counters(1, 52) if rule in (FORWARD[0], OWN[1]) else Counters())
        for _, rule in RULES.rules
    )
    told = CountedJourney(dropped(hook), before, counted)
    return Story(f"A story {SCRIPT}", f"about {SCRIPT}", article.topology(), RULES, (told,))


def test_what_a_user_wrote_is_text(story: Story) -> None:
    claim = Claim("A01", "first packet", SCRIPT, "corrected", SCRIPT, ("test_1.py::test_it",))
    run = Results("now", (Result(SCRIPT, SCRIPT, FAILED, 1.0, SCRIPT), Result("a", "b", PASSED, 1.0)))
    page = html(Page(SCRIPT, (story,), [claim], run))
    assert SCRIPT not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page
    assert Reader(page).elements["script"] == 1


def test_every_link_leads_to_one_place_and_nothing_is_fetched(story: Story) -> None:
    two = CountedJourney(story.packets[0].journey, story.packets[0].before, story.packets[0].counted)
    read = Reader(html(Page("page", (story, replace(story, packets=(two, two))))))
    assert all(number == 1 for number in read.ids.values())
    assert {"story-1-syn-1", "story-2-syn-1-1", "story-2-syn-2-1"} <= set(read.ids)
    assert [link for link in read.links if link != "#" and link.removeprefix("#") not in read.ids] == []
    assert read.fetched == ["data:,"]


def test_a_dropped_packet_is_told_to_its_end(story: Story) -> None:
    page = html(Page("page", (story,)))
    assert "dropped at host: filter -A OWN -p tcp -m comment" in page
    assert "<code><u><i>-i</i> docker0</u> <i>-j</i> RETURN</code>" in page
    assert "1/60 → 2/112 <b>+1 packet, +52 B</b>" in page
    assert page.count('<li class="not-reached">') == 2
    assert "filter UNUSED <small>no rules</small>" in page


def test_a_rule_of_which_the_failing_clause_cannot_be_told_and_one_without_a_counter(story: Story) -> None:
    asked = RuleEvaluation(1, FORWARD[0], False)
    forward = ChainTraversal(
        "filter", "FORWARD", (asked, RuleEvaluation(2, FORWARD[1], True, "accept")), ChainEnd.ACCEPT
    )
    hook = HookTraversal("FORWARD", "ens33", "docker0", HEADER, HEADER, "", False, (forward,), ("nat FORWARD",))
    packet = CountedJourney(dropped(hook), CounterReading({}), CounterReading({}))
    page = html(Page("page", (replace(story, packets=(packet,)),)))
    assert "failed, where cannot be told" in page
    assert page.count("no counter") == 2
    assert "nat FORWARD is passed over: the packet belongs to no connection." in page
    assert "not tracked" in page


def test_packets_of_one_connection_stand_together(story: Story) -> None:
    way = Tuple("192.168.66.1", "192.168.66.100", 40000, 80)
    other = Tuple("192.168.66.1", "192.168.66.100", 40001, 80)
    packets = [
        replace(
            story.packets[0],
            journey=replace(story.packets[0].journey, connection=Connection("tcp", original, way, "", frozenset())),
        )
        for original in (way, way, other)
    ]
    page = html(Page("page", (replace(story, packets=tuple(packets)),)))
    assert page.count('<span class="to">') == 2


def test_a_page_of_nothing_can_be_made() -> None:
    assert "<main" in html(Page("empty", ()))
