"""The results of a campaign, for programs: JUnit XML, and the schema of mutation testing elements."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from testbed.mutation.campaign import Campaign, CampaignResult
from testbed.mutation.outcome import EQUIVALENT, ERROR, KILLED, NO_COVERAGE, SURVIVED
from testbed.report.xml import document
from testbed.rules import save

_STATUS = {  # of mutation-testing-report-schema, "MutantStatus"
    KILLED: "Killed",
    SURVIVED: "Survived",
    NO_COVERAGE: "NoCoverage",
    EQUIVALENT: "Ignored",
    ERROR: "RuntimeError",
}
_THRESHOLDS = {"high": 100, "low": 80}


def junit(campaign: Campaign) -> str:
    """Return each mutant as a test case: an undetected mutant has failed, an equivalent one was skipped."""
    suite = ElementTree.Element("testsuite", name="mutants", time=f"{campaign.seconds:.3f}")
    number = {"tests": len(campaign.found), "failures": 0, "errors": 0, "skipped": 0}
    for one in campaign.found:
        outcome, classname = one.outcome, f"mutants.{one.mutant.table}.{one.mutant.chain}".replace(" ", "-")
        seconds = f"{outcome.seconds:.3f}"
        case = ElementTree.SubElement(
            suite, "testcase", classname=classname, name=f"{one.mutant.id}: {one.mutant.title}", time=seconds
        )
        if outcome.status in (SURVIVED, NO_COVERAGE):
            number["failures"] += 1
            ElementTree.SubElement(case, "failure", message=outcome.status).text = _told(one)
        elif outcome.status == ERROR:
            number["errors"] += 1
            ElementTree.SubElement(case, "error", message=outcome.said)
        elif outcome.status == EQUIVALENT:
            number["skipped"] += 1
            ElementTree.SubElement(case, "skipped", message=outcome.said)
    suite.attrib.update({name: str(value) for name, value in number.items()})
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    return document(suites, xml_declaration=True)


def _told(one: CampaignResult) -> str:
    told = one.mutant.diff
    if (witness := one.outcome.witness) is not None:
        told += [f"{witness.kind}: {witness.probe}", f"- {witness.before}", f"+ {witness.now}", witness.case]
    return "\n".join(told)


def elements(campaign: Campaign) -> dict[str, Any]:
    """Return the results in version 2.0 of https://github.com/stryker-mutator/mutation-testing-elements."""
    rules = campaign.wanted.rules
    return {
        "$schema": "https://git.io/mutation-testing-schema",
        "schemaVersion": "2.0",
        "thresholds": _THRESHOLDS,
        "framework": {"name": "docker-host-testbed"},
        "files": {
            rules.source: {
                "language": "iptables",
                "source": save.render(rules),
                "mutants": [_mutant(one) for one in campaign.found],
            }
        },
        "testFiles": _test_files(campaign),
    }


def _mutant(one: CampaignResult) -> dict[str, Any]:
    outcome = one.outcome
    said = outcome.how if outcome.status == KILLED else outcome.said
    line = one.line
    return {
        "id": outcome.mutant,
        "mutatorName": one.mutant.operator,
        "description": one.mutant.title,
        "replacement": "\n".join(one.mutant.replaced),
        "location": {"start": {"line": line, "column": 1}, "end": {"line": line, "column": len(one.was) + 1}},
        "status": _STATUS[outcome.status],
        "duration": round(1000 * outcome.seconds),
        **({"statusReason": said} if said else {}),
        **({"killedBy": [outcome.killer]} if outcome.killer else {}),
    }


def _test_files(campaign: Campaign) -> dict[str, Any]:
    files: dict[str, Any] = {}
    for case in campaign.cases:
        of_file = files.setdefault(case.partition("::")[0], {"tests": []})
        of_file["tests"].append({"id": case, "name": case.partition("::")[2] or case})
    return files
