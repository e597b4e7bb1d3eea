"""The report as OCSF 1.8.0: one Compliance Finding (class 2003) a finding, in a JSON array with one event a line.

Times are milliseconds since 1970. What nobody could decide is status 2, "no result because information was missing";
what the owner only stated is an assessment and not evidence. Computes no number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from auditor.model.report import AccountReport, EvidenceLine, Finding, Outcome, Report
from auditor.model.rule import Severity
from auditor.reports import _frameworks, _tally
from auditor.reports._wording import waived
from auditor.reports._words import label, prose

VERSION = "1.8.0"
_CLASS, _CATEGORY = 2003, 2
_ATTACK = "attack/"
_SEVERITIES = {
    Severity.CRITICAL: (5, "Critical"),
    Severity.HIGH: (4, "High"),
    Severity.MEDIUM: (3, "Medium"),
    Severity.LOW: (2, "Low"),
    Severity.INFO: (1, "Informational"),
}
_COMPLIANCE = {
    Outcome.PASS: (1, "Pass"),
    Outcome.UNKNOWN: (2, "Warning"),
    Outcome.ERROR: (2, "Warning"),
    Outcome.FAIL: (3, "Fail"),
    Outcome.NOT_APPLICABLE: (99, "Not applicable"),
}
_ACTIVITIES = {"new": (1, "Create"), "unchanged": (2, "Update"), "updated": (2, "Update"), "absent": (3, "Close")}


def render(report: Report) -> bytes:
    """UTF-8 JSON. An account without findings has no event."""
    return b"".join(chunks(report))


def chunks(report: Report) -> Iterator[bytes]:
    """The same, an account at a time."""
    before = "[\n"
    for account in report.accounts:
        if account.findings:
            events = (_event(report, account, finding) for finding in account.findings)
            lines = ",\n".join(json.dumps(event, ensure_ascii=False, allow_nan=False) for event in events)
            yield f"{before}{lines}".encode()
            before = ",\n"
    yield b"[]\n" if before == "[\n" else b"\n]\n"


def milliseconds(at: datetime) -> int:
    """A time as OCSF counts it."""
    return round(at.timestamp() * 1000)


def _event(report: Report, account: AccountReport, finding: Finding) -> dict[str, Any]:
    activity, activity_name = _ACTIVITIES.get(finding.baseline or "new", (1, "Create"))
    severity, severity_name = _SEVERITIES[finding.severity]
    status, status_name = _status(finding)
    return {
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": _CATEGORY,
        "category_name": "Findings",
        "class_uid": _CLASS,
        "class_name": "Compliance Finding",
        "type_uid": _CLASS * 100 + activity,
        "type_name": f"Compliance Finding: {activity_name}",
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": status_name,
        "time": milliseconds(report.run.started_at),
        "message": prose(finding.message, 1_000),
        "metadata": _metadata(report, finding),
        "finding_info": _info(finding, account, report),
        "compliance": _compliance(finding),
        "evidences": [
            {"name": label(line.fact), "data": {"value": _tally.value(line.value), "source": prose(line.source, 400)}}
            for line in finding.evidence
            if not _tally.is_stated(line)
        ],
        "remediation": {"desc": prose(" ".join((finding.fix.text, *finding.fix.steps)), 4_000)},
        "resources": [_resource(account, finding)],
        **({"comment": prose(waived(finding.waiver), 600)} if finding.waiver else {}),
        "unmapped": {
            "outcome": finding.outcome.value,
            "account": {
                "name": label(account.name),
                "exchange": label(account.exchange),
                **_tally.score(account.score),
            },
            "sample": report.run.sample,
        },
    }


def _status(finding: Finding) -> tuple[int, str]:
    """Where the finding stands in the work of its reader, which is not what came of the check."""
    if finding.waiver:
        return 3, "Suppressed"
    return (4, "Resolved") if finding.baseline == "absent" else (1, "New")


def _metadata(report: Report, finding: Finding) -> dict[str, Any]:
    return {
        "version": VERSION,
        "uid": f"{label(report.run.id)}-{label(finding.id)}",
        "correlation_uid": label(report.run.id),
        "product": {
            "name": "auditor",
            "uid": "exchange-auditor",
            "vendor_name": "exchange-auditor",
            "version": label(report.run.version),
        },
        "labels": ["sample"] if report.run.sample else [],
    }


def _info(finding: Finding, account: AccountReport, report: Report) -> dict[str, Any]:
    ruleset = label(report.run.ruleset_sha256)
    return {
        "uid": label(finding.id),
        "title": prose(finding.title, 300),
        "desc": prose(finding.why),
        "created_time": milliseconds(report.run.started_at),
        "last_seen_time": milliseconds(account.collected_at),
        "types": [label(finding.rule)],
        **({"attacks": attacks} if (attacks := _attacks(finding)) else {}),
        "analytic": {"name": label(finding.rule), "uid": label(finding.rule), "type_id": 1, "type": "Rule"}
        | ({"version": ruleset} if ruleset else {}),
    }


def _attacks(finding: Finding) -> list[dict[str, Any]]:
    """The techniques of MITRE ATT&CK that a rule is about."""
    found = []
    for uid in (label(one.removeprefix(_ATTACK)) for one in finding.controls if one.startswith(_ATTACK)):
        technique, _, sub = uid.partition(".")
        named = {"technique": {"uid": technique, "name": technique}}  # readers ask for a name; the number will do
        found.append(named | ({"sub_technique": {"uid": uid}} if sub else {}))
    return found


def _compliance(finding: Finding) -> dict[str, Any]:
    status, name = _COMPLIANCE[finding.outcome]
    known = _frameworks.catalogue()
    controls = [label(control) for control in finding.controls if not control.startswith(_ATTACK)]
    standards = {control.partition("/")[0] for control in controls}
    details = _tally.missing(finding)
    if finding.outcome is Outcome.ERROR:
        details = [f"The rule could not be evaluated: {prose(finding.message, 600)}"]
    stated = [line for line in finding.evidence if _tally.is_stated(line)]
    decided = finding.outcome in {Outcome.PASS, Outcome.FAIL}
    return {
        "control": label(finding.rule),
        "desc": prose(finding.title, 300),
        "standards": sorted(f"{known[one].name}, {known[one].edition}" if one in known else one for one in standards),
        "requirements": controls,
        "status_id": status,
        "status": name,
        "status_details": details,
        **({"assessments": [_assessment(line, finding) for line in stated]} if stated and decided else {}),
    }


def _assessment(line: EvidenceLine, finding: Finding) -> dict[str, Any]:
    text = f"{json.dumps(_tally.value(line.value), ensure_ascii=False)} ({line.source})"
    return {
        "name": label(line.fact),
        "category": "stated by the owner",
        "desc": prose(text, 900),
        "meets_criteria": finding.outcome is Outcome.PASS,
    }


def _resource(account: AccountReport, finding: Finding) -> dict[str, Any]:
    subject = finding.subject
    named = "not listed" if subject.unseen else label(subject.label) or "without a label"
    return {
        "uid": label(subject.fingerprint),
        "name": named,
        "type": label(subject.type),
        "namespace": f"{label(account.exchange)}/{label(account.name)}",
    }
