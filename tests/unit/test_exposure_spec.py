"""Exposure specs as they are read: who may reach what, errors with their line, and the schema for editors."""

from __future__ import annotations

import json
from datetime import date
from importlib.resources import files
from pathlib import Path

import pytest

from testbed.docker import hostfile
from testbed.errors import TestbedError
from testbed.exposure.spec import entries
from testbed.exposure.spec.entries import ExposureSpec, SpecSection
from testbed.exposure.spec.names import ResolvedEntry, SpecNames

HOST = hostfile.described(str(Path(__file__).parents[2] / "docs" / "docker.yaml")).host
TODAY = date(2026, 6, 1)


def parse(text: str) -> ExposureSpec:
    return entries.parse(text, "exposure.yaml", TODAY)


def resolved(text: str) -> tuple[ResolvedEntry, ...]:
    return SpecNames(HOST, "host").resolved(parse(text))


def test_entries_have_lists_or_single_names_and_their_lines() -> None:
    spec = parse("allow:\n  - from: [lan, host]\n    to: web:8080\n  - {from: internet, to: ['web:8443/tcp', dns]}\n")
    assert [(one.who, one.what, one.line) for one in spec.entries] == [
        (("lan", "host"), ("web:8080",), 2),
        (("internet",), ("web:8443/tcp", "dns"), 4),
    ]


def test_names_are_those_of_the_host() -> None:
    (one,) = resolved(
        "allow: [{from: [lan, front, db, 10.0.0.0/8], to: ['web:8080', 'dns:53/udp', back, 'host:22', '*']}]"
    )
    assert [who.network for who in one.who] == ["", "docs_front", "", ""]
    assert [tuple(map(str, who.sources)) for who in one.who] == [(), (), ("172.19.0.2/32",), ("10.0.0.0/8",)]
    assert [(what.nodes, what.port, what.protocol) for what in one.what[:-1]] == [
        (("web",), 8080, "tcp"),
        (("dns",), 53, "udp"),
        (("db",), None, "tcp"),
        (("host",), 22, "tcp"),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "exposure.yaml has no entry."),
        ("allow: [{from: lan}]", "exposure.yaml, line 1: `to` is missing or empty."),
        ("allow:\n  - {from: lan, to: web, why: no}", "exposure.yaml, line 2: the key why is not known here."),
        ("allow: {from: lan}", "exposure.yaml, line 1: a list is expected here."),
        ("allows: []", "exposure.yaml, line 1: the key allows is not known here."),
        ("except: [{from: lan, to: web}]", "exposure.yaml, line 1: an exception has a reason."),
        ("except: [{from: lan, to: web, reason: x}]", "exposure.yaml, line 1: an exception has a date."),
        (
            "except: [{from: lan, to: web, reason: x, until: soon}]",
            "exposure.yaml, line 1: 'soon' is no date.",
        ),
        (
            "allow: [{from: lan, to: web}]\nexcept:\n  - from: lan\n    to: db\n    reason: x\n    until: 2026-05-31",
            "exposure.yaml, line 6: this exception ended on 2026-05-31.",
        ),
        (
            "allow:\n  - {from: lan, to: web}\ndeny:\n  - {from: lan, to: web}",
            "exposure.yaml, line 2: web from lan is allowed here and denied in line 4.",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(TestbedError) as raised:
        parse(text)
    assert raised.value.what == sentence
    assert raised.value.remedy


def test_an_exception_holds_on_its_last_day() -> None:
    spec = parse("except: [{from: lan, to: web, reason: moving, until: 2026-06-01}]")
    assert [(one.reason, one.until) for one in spec.of(SpecSection.EXCEPT)] == [("moving", TODAY)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("allow:\n  - {from: office, to: web}", "exposure.yaml, line 2: there is no office on this host."),
        ("allow:\n  - {from: lan, to: wbe:80}", "exposure.yaml, line 2: there is no wbe on this host."),
        ("allow:\n  - {from: lan, to: 'web:99999'}", "exposure.yaml, line 2: 99999 is no port."),
        ("allow:\n  - {from: 10.0.0.1/8, to: web}", "exposure.yaml, line 2: there is no 10.0.0.1/8 on this host."),
        ("also:\n  - {from: web, to: moon}", "exposure.yaml, line 2: 'moon' is nothing outside."),
    ],
)
def test_a_name_that_the_host_has_not_is_said_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(TestbedError) as raised:
        resolved(text)
    assert raised.value.what == sentence


def test_the_schema_knows_the_keys_that_are_read() -> None:
    schema = json.loads(files("testbed.exposure.spec").joinpath("exposure.schema.json").read_text())
    assert set(schema["properties"]) == {*(section.value for section in SpecSection), "host", "engines", "backends"}
    exception = schema["properties"]["except"]["items"]
    assert set(exception["properties"]) == {"from", "to", "reason", "until"} == set(exception["required"])
