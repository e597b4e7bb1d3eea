"""The report as JUnit XML: one suite an account, one test case a finding.

A fail is a failure. What nobody could decide is an error, as a rule in error is: a CI job shows a skipped test as if it
were none. `junit_unknown="skipped"` is for those who want that all the same. An accepted risk is skipped and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as ET

from auditor.model.facts import format_time
from auditor.model.report import AccountReport, Finding, Outcome, Report
from auditor.reports import _tally, _view
from auditor.reports._wording import SAMPLE, waived, whom
from auditor.reports._words import label, prose

UNKNOWN_AS = ("error", "skipped")


def render(report: Report, *, junit_unknown: str = "error") -> bytes:
    """UTF-8 XML. `junit_unknown` is one of UNKNOWN_AS: what a finding becomes that nobody could decide."""
    return b"".join(chunks(report, junit_unknown=junit_unknown))


def chunks(report: Report, *, junit_unknown: str = "error") -> Iterator[bytes]:
    """The same, an account at a time."""
    root = ET.Element("testsuites", {"name": "exchange account audit", **_totals(report, junit_unknown)})
    opened: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True, short_empty_elements=False)
    yield opened.removesuffix(b"</testsuites>")
    for place in range(max(1, len(report.accounts))):
        suite = _suite(report, report.accounts[place], junit_unknown) if report.accounts else _nothing()
        if report.problems and place == 0:
            told = (f"{prose(one.where, 100)}: {prose(one.message, 600)}" for one in report.problems)
            ET.SubElement(suite, "system-err").text = "\n".join(told)
        ET.indent(suite, " ", 1)
        yield b"\n " + ET.tostring(suite, encoding="utf-8")
    yield b"\n</testsuites>\n"


def _totals(report: Report, unknown: str) -> dict[str, str]:
    """What stands before the suites that it counts."""
    if not report.accounts:
        return {"tests": "1", "failures": "0", "errors": "1"}
    tags = Counter(_result(one, unknown)[0] for account in report.accounts for one in account.findings)
    return {"tests": str(tags.total()), "failures": str(tags["failure"]), "errors": str(tags["error"])}


def _suite(report: Report, account: AccountReport, unknown: str) -> ET.Element:
    ids = _view.masked_ids(account)
    cases = [_case(account, finding, ids, unknown) for finding in account.findings]
    found = Counter(child.tag for case in cases for child in case)
    suite = ET.Element(
        "testsuite",
        {
            "name": label(account.name),
            "tests": str(len(cases)),
            "failures": str(found["failure"]),
            "errors": str(found["error"]),
            "skipped": str(found["skipped"]),
            "timestamp": format_time(report.run.started_at).removesuffix("Z"),
        },
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(report, account).items():
        ET.SubElement(properties, "property", {"name": name, "value": "" if value is None else str(value)})
    suite.extend(cases)
    return suite


def _nothing() -> ET.Element:
    """The suite of a run without accounts: no test at all would look like success."""
    suite = ET.Element("testsuite", {"name": "run", "tests": "1", "failures": "0", "errors": "1", "skipped": "0"})
    case = ET.SubElement(suite, "testcase", {"classname": "run", "name": "accounts"})
    ET.SubElement(case, "error", {"type": "error", "message": "No account was audited."})
    return suite


def _properties(report: Report, account: AccountReport) -> dict[str, Any]:
    """What there is to say of a suite; an empty value is a number that nobody has."""
    score = {f"score.{name}": number for name, number in _tally.score(account.score).items()}
    return {
        "exchange": label(account.exchange),
        "collected_at": format_time(account.collected_at),
        **score,
        "run": label(report.run.id),
        "version": label(report.run.version),
        "ruleset": label(report.run.ruleset_sha256),
        "formula": label(report.run.formula),
        **({"sample": SAMPLE} if report.run.sample else {}),
    }


def _case(account: AccountReport, finding: Finding, ids: Mapping[str, str], unknown: str) -> ET.Element:
    name = f"{label(finding.rule)}: {whom(finding.subject, ids)} [{label(finding.id)}]"
    group = f"{label(account.exchange)}.{label(account.name)}"
    case = ET.Element("testcase", {"classname": group, "name": name})
    tag, kind, message = _result(finding, unknown)
    if tag:
        ET.SubElement(case, tag, {"type": kind, "message": message}).text = _body(finding)
    return case


def _result(finding: Finding, unknown: str) -> tuple[str | None, str, str]:
    """Tag, type and message of what came of a finding; no tag where it passes."""
    said = f"{finding.severity}: {prose(finding.message, 600)}"
    if finding.outcome is Outcome.FAIL:
        return (
            ("skipped", "waived", f"{waived(finding.waiver)} ({said})") if finding.waiver else ("failure", "fail", said)
        )
    if finding.outcome is Outcome.UNKNOWN:
        return unknown, "unknown", f"nobody knows: {said}"
    if finding.outcome is Outcome.ERROR:
        return "error", "error", f"the rule could not be evaluated: {said}"
    if finding.outcome is Outcome.NOT_APPLICABLE:
        return "skipped", "not_applicable", f"does not apply: {said}"
    return None, "pass", said


def _body(finding: Finding) -> str:
    """Lines for the person who opens the failed test."""
    if finding.outcome is Outcome.NOT_APPLICABLE:
        return ""
    lines = [prose(finding.title, 300), f"Why: {prose(finding.why)}"]
    lines += [f"Missing: {line}" for line in _tally.missing(finding)]
    lines += [f"Rests on: {line}" for line in _tally.grounds(finding)]
    lines += [f"What to do: {prose(finding.fix.text)}"]
    lines += [f"{place}. {prose(step, 400)}" for place, step in enumerate(finding.fix.steps, 1)]
    if finding.controls:
        lines += [f"Related to: {', '.join(map(label, finding.controls))}"]
    return "\n".join(lines)
