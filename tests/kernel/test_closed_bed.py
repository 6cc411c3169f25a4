"""A bed that a case closed itself: its use is refused with a sentence, and a failing case is reported as such."""

from __future__ import annotations

import pytest

from testbed import Testbed
from testbed.errors import KernelRefused
from testbed.kernel.namespace import quarantine

pytest_plugins = ["pytester"]
CASE = """
def test_closed(bed):
    bed.connect("client", ("host", 80))
    bed.close()
    assert bed.closed and False


def test_open(bed):
    bed.connect("client", ("host", 80))
    assert bed.closed
"""


def test_closed_bed_refuses_with_a_sentence() -> None:
    with quarantine():
        with Testbed.article() as bed:
            assert not bed.closed
        assert bed.closed
        with pytest.raises(KernelRefused, match="the namespace host is closed"):
            bed.counters()


def test_case_that_fails_after_it_closed_its_bed_is_reported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CASE)
    finished = pytester.runpytest_subprocess("-n", "0", "-p", "no:cacheprovider")
    finished.assert_outcomes(failed=2)
    finished.stdout.no_fnmatch_line("*INTERNALERROR*")
    told = finished.stdout.str()
    assert told.count("what the rules have counted") == 1  # of the open bed
