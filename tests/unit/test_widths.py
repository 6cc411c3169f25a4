"""Whatever the width of the terminal, addresses, rules' words, names and commands are printed whole."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from testbed.claims import Claim
from testbed.kernel.requirements import Requirement
from testbed.report import claims, doctor
from testbed.report.layout import FittedTable

WIDTHS = pytest.mark.parametrize("width", [40, 60, 80, 120])
TRANSLATED = "[2001:db8:1234:5678:9abc:def0:1234:5678]:54321 > [2001:db8:1234:5678:9abc:def0:1234:9999]:65535"
RULE = "-A DOCKER-ISOLATION-STAGE-1 -i br-0123456789ab ! -o br-0123456789ab -j DOCKER-ISOLATION-STAGE-2"


def printed(shown: object, width: int) -> str:
    out = StringIO()
    Console(file=out, width=width, highlight=False).print(shown, crop=False)
    return out.getvalue()


def example() -> Table:
    table = Table("packet", "bytes", title="The packets")
    table.add_column("came out as", no_wrap=True)
    table.add_column("rule")
    table.add_row("SYN", "52", Text(TRANSLATED), RULE)
    table.add_row("", "", "", "")
    return table


@WIDTHS
def test_what_may_not_wrap_is_printed_on_one_line(width: int) -> None:
    assert TRANSLATED in printed(FittedTable(example()), width)


@WIDTHS
def test_no_word_of_a_rule_is_broken(width: int) -> None:
    words = printed(FittedTable(example()), width).split()
    assert [word for word in RULE.split() if word not in words] == []


def test_table_that_fits_stays_a_table() -> None:
    assert "┃ packet" in printed(FittedTable(example()), 200)
    assert "┃" not in printed(FittedTable(example()), 80)


@WIDTHS
def test_claims_are_readable(width: int) -> None:
    claim = Claim(
        "A01", "1.2 Sums", "The SYN is 52 bytes", "holds", "It is counted so", ("f.py::test_syn_of_52_bytes",)
    )
    text = printed(claims.table([claim]), width)
    assert "A01" in text
    words = text.replace("│", " ").replace(",", " ").split()
    assert [word for word in ("syn", "52", "bytes", "holds", "counted") if word not in words] == []


@WIDTHS
def test_command_that_doctor_proposes_is_printed_whole(width: int) -> None:
    command = ("apt-get", "install", "-y", "-q", "--no-install-recommends", "iptables")
    lacking = Requirement(
        "iptables-legacy-restore", "it loads rules (legacy)", False, (("apt-get", "update", "-q"), command)
    )
    assert " ".join(command) in printed(doctor.table([lacking]), width)
