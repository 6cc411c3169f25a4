"""Rule coverage in formats of program coverage: lcov's tracefile and Cobertura's XML.

A rule is a line, a chain a function (Cobertura: a method). The two branches of a line are: a packet matched the rule,
and a packet missed it. What is impossible is left out. Formats: geninfo(1) and Cobertura's coverage-04.dtd.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from testbed.coverage.covered import CoveredRule, Report
from testbed.coverage.records import ChainRecord, RuleRecord, RuleSetRecord
from testbed.report.xml import document
from testbed.visible import one_line

_DOCTYPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">\n'
)


def listed(rule_set: RuleSetRecord) -> tuple[RuleSetRecord, str]:
    """Return a rule set as text with a line for each chain and rule, and the rule set with these line numbers."""
    written: list[str] = []
    chains: list[ChainRecord] = []
    rules: list[RuleRecord] = []
    for table in dict.fromkeys(chain.table for chain in rule_set.chains):
        written.append(f"*{table}")
        lines: dict[str, int] = {}
        for chain in (one for one in rule_set.chains if one.table == table):
            written.append(f":{chain.name} {chain.policy or '-'}")
            lines[chain.name] = len(written)
            chains.append(replace(chain, line=len(written)))
        for rule in (one for one in rule_set.rules if one.table == table):
            if not rule.is_policy:
                written.append(rule.text)
            rules.append(replace(rule, line=lines[rule.chain] if rule.is_policy else len(written)))
        written.append("COMMIT")
    return replace(rule_set, chains=tuple(chains), rules=tuple(rules)), "".join(f"{line}\n" for line in written)


def lcov(report: Report, source: Path) -> str:
    """Return a tracefile for genhtml, `lcov --summary` and other readers of the format."""
    rules = _lines(report)
    lines = ["TN:rules", f"SF:{one_line(str(source.resolve()))}"]
    lines += [f"FN:{chain.line},{_function(chain)}" for chain in report.chains if chain.line]
    lines += [f"FNDA:{chain.entered},{_function(chain)}" for chain in report.chains if chain.line]
    lines += [f"FNF:{sum(bool(c.line) for c in report.chains)}"]
    lines += [f"FNH:{sum(bool(c.line and c.entered) for c in report.chains)}"]
    branches = [branch for rule in rules for branch in _branches(rule)]
    lines += [f"BRDA:{line},0,{place},{number}" for line, place, number in branches]
    hit = sum(number not in ("0", "-") for _, _, number in branches)
    lines += [f"BRF:{len(branches)}", f"BRH:{hit}"]
    lines += [f"DA:{rule.record.line},{rule.record.reached}" for rule in rules]
    lines += [f"LF:{len(rules)}", f"LH:{sum(bool(rule.record.reached) for rule in rules)}", "end_of_record"]
    return "".join(f"{line}\n" for line in lines)


def cobertura(report: Report, source: Path, root: Path) -> str:
    """Return an XML report for GitLab, Codecov and editors; the rule file's name is relative to `root`."""
    path = source.resolve()
    name = str(path.relative_to(root.resolve())) if path.is_relative_to(root.resolve()) else str(path)
    rates = {"line-rate": _rate(report.reached.percent), "branch-rate": _rate(report.branches.percent)}
    whole = {"complexity": "0", "version": "1", "timestamp": "0"}
    counted = {
        "lines-covered": report.reached.seen,
        "lines-valid": report.reached.of,
        "branches-covered": report.branches.seen,
        "branches-valid": report.branches.of,
    }
    coverage = ElementTree.Element("coverage", {**rates, **{k: str(v) for k, v in counted.items()}, **whole})
    ElementTree.SubElement(ElementTree.SubElement(coverage, "sources"), "source").text = str(root.resolve())
    package = ElementTree.SubElement(
        ElementTree.SubElement(coverage, "packages"), "package", {"name": "rules", **rates, "complexity": "0"}
    )
    of_file = {"name": report.source, "filename": name, **rates, "complexity": "0"}
    file = ElementTree.SubElement(ElementTree.SubElement(package, "classes"), "class", of_file)
    methods = ElementTree.SubElement(file, "methods")
    rules = _lines(report)
    for chain in report.chains:
        own = [rule for rule in rules if (rule.record.table, rule.record.chain) == (chain.table, chain.name)]
        entered = _rate(100 if chain.entered else 0)
        method = {"name": _function(chain), "signature": "", "line-rate": entered, "branch-rate": entered}
        _line_elements(ElementTree.SubElement(methods, "method", {**method, "complexity": "0"}), own)
    _line_elements(file, rules)
    return _DOCTYPE + document(coverage)


def _line_elements(parent: ElementTree.Element, rules: Iterable[CoveredRule]) -> None:
    lines = ElementTree.SubElement(parent, "lines")
    for rule in rules:
        counted = [branch for branch in rule.branches if branch is not None]
        attributes = {"number": str(rule.record.line), "hits": str(rule.record.reached), "branch": "false"}
        line = ElementTree.SubElement(lines, "line", attributes)
        if counted:
            seen = sum(map(bool, counted))
            share = f"{100 * seen // len(counted)}%"
            line.set("branch", "true")
            line.set("condition-coverage", f"{share} ({seen}/{len(counted)})")
            conditions = ElementTree.SubElement(line, "conditions")
            ElementTree.SubElement(conditions, "condition", {"number": "0", "type": "jump", "coverage": share})


def _lines(report: Report) -> list[CoveredRule]:
    """Return the rules and policies that count and have a line, in the order of the lines."""
    known = (rule for rule in report.rules if rule.record.line and rule.reachable)
    return sorted(known, key=lambda rule: rule.record.line)


def _branches(rule: CoveredRule) -> Iterator[tuple[int, int, str]]:
    """Yield line, number (0: matched, 1: missed) and count, `-` if the line was never reached."""
    for place, number in enumerate(rule.branches):
        if number is not None:
            yield rule.record.line, place, str(number) if rule.record.reached else "-"


def _function(chain: ChainRecord) -> str:
    """Return a chain's name with its table's, since several tables have a chain of the same name."""
    return one_line(f"{chain.table.replace(' ', '/')}/{chain.name}")


def _rate(percent: float) -> str:
    return f"{percent / 100:.4g}"
