"""The report as SARIF 2.1.0, as GitHub's code scanning reads it: one result a failing finding, help with every rule.

What passes is not told. What nobody could decide is told as notifications of the run, with the score and its coverage:
a reader of this format would take it for an alert, or for nothing. Computes no number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from auditor.model.facts import format_time
from auditor.model.report import AccountReport, Finding, Outcome, Report
from auditor.reports import _tally
from auditor.reports._sarif_rules import LEVELS, described, said
from auditor.reports._wording import SAMPLE, interval, seen, waived
from auditor.reports._words import count, label, reason

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_MOST_RESULTS = 25_000
"""GitHub takes no more in one run; further ones go to a further run, of another category."""
_PLACE = "auditor.yaml"
"""GitHub wants a file for every alert. An account is no file: it is named in this one, and in the logical location."""
_MOST_NOTES = 50
_STATES = frozenset({"new", "unchanged", "updated", "absent"})


def render(report: Report) -> bytes:
    """UTF-8 JSON of the official schema."""
    fails = [
        (account, finding)
        for account in report.accounts
        for finding in account.findings
        if finding.outcome is Outcome.FAIL
    ]
    parts = [fails[start : start + _MOST_RESULTS] for start in range(0, len(fails), _MOST_RESULTS)] or [[]]
    runs = [_run(report, part, place) for place, part in enumerate(parts, 1)]
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": runs}
    return (json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


def _run(report: Report, part: Sequence[tuple[AccountReport, Finding]], place: int) -> dict[str, Any]:
    rules = described(report)
    places = {rule["id"]: at for at, rule in enumerate(rules)}
    suppressed = any(finding.waiver for _, finding in part)
    compared = bool(part) and all(finding.baseline in _STATES for _, finding in part)
    return {
        "tool": {
            "driver": {
                "name": "auditor",
                "version": label(report.run.version),
                "rules": rules,
                "notifications": [{"id": name} for name in ("account", "undecided", "problem", "run")],
            }
        },
        "automationDetails": {"id": "exchange-auditor/" if place == 1 else f"exchange-auditor-{place}/"},
        "invocations": [_invocation(report)],
        "results": [
            _result(account, finding, places, suppressed=suppressed, compared=compared) for account, finding in part
        ],
        "properties": {
            "run": label(report.run.id),
            "formula": label(report.run.formula),
            "ruleset": label(report.run.ruleset_sha256),
            "sample": report.run.sample,
            "accounts": [{**_tally.account(one), "undecided": _undecided(one)} for one in report.accounts],
        },
    }


def _undecided(account: AccountReport) -> list[str]:
    """The ids of findings that nobody could decide: they are no results, and are not lost."""
    open_ = {Outcome.UNKNOWN, Outcome.ERROR}
    return [label(finding.id) for finding in account.findings if finding.outcome in open_]


def _result(
    account: AccountReport, finding: Finding, places: dict[str, int], *, suppressed: bool, compared: bool
) -> dict[str, Any]:
    rule, subject = label(finding.rule), finding.subject
    whole = "/".join(map(label, (account.exchange, account.name, subject.type, subject.fingerprint)))
    waiver = [{"kind": "external", "status": "accepted", "justification": said(waived(finding.waiver or {}), 600)}]
    return {
        "ruleId": rule,
        "ruleIndex": places[rule],
        "kind": "fail",
        "level": LEVELS[finding.severity],
        "message": {"text": said(f"{account.name}: {finding.message}", 900)},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": _PLACE}, "region": {"startLine": 1}},
                "logicalLocations": [{"name": label(account.name), "fullyQualifiedName": whole, "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"primaryLocationLineHash": label(finding.id), "auditorFinding/v1": label(finding.id)},
        **({"suppressions": waiver if finding.waiver else []} if suppressed else {}),
        **({"baselineState": finding.baseline} if compared else {}),
        "properties": {
            "account": label(account.name),
            "exchange": label(account.exchange),
            "severity": finding.severity.value,
            "evidence": _tally.grounds(finding),
            "on_path": finding.on_path,
        },
    }


def _invocation(report: Report) -> dict[str, Any]:
    errors = any(item.outcome is Outcome.ERROR for account in report.accounts for item in account.findings)
    whole = not (errors or report.problems or report.summary.incomplete_accounts)
    notes = [_note("run", "note", SAMPLE)] if report.run.sample else []
    notes += [] if report.accounts else [_note("run", "warning", "No account was audited.")]
    for problem in report.problems:
        notes.append(_note("run", "error", f"{problem.where}: {problem.message}"))
    for account in report.accounts:
        notes += _notes(account)
    return {
        "executionSuccessful": whole,
        "startTimeUtc": format_time(report.run.started_at),
        "endTimeUtc": format_time(report.run.finished_at),
        "toolExecutionNotifications": notes,
    }


def _notes(account: AccountReport) -> list[dict[str, Any]]:
    score = account.score
    scale = " of 100" if score.low is not None else ""
    notes = [_note("account", "note", f"{account.name}: {interval(score)}{scale}; {seen(score)} could be seen.")]
    for cause in account.causes[:_MOST_NOTES]:
        rules = count(len(cause.rules), "rule")
        text = (
            f"{account.name}: {rules} undecided because {reason(cause.reason)}: {', '.join(cause.rules)}. {cause.how}"
        )
        notes.append(_note("undecided", "warning", text))
    for finding in [item for item in account.findings if item.outcome is Outcome.ERROR][:_MOST_NOTES]:
        text = f"{account.name}: {finding.rule} could not be evaluated: {finding.message}"
        notes.append(_note("undecided", "error", text))
    for problem in account.problems[:_MOST_NOTES]:
        detail = f" ({problem.detail})" if problem.detail else ""
        notes.append(
            _note("problem", "warning", f"{account.name}: {problem.endpoint}: {reason(problem.reason)}{detail}")
        )
    return notes


def _note(name: str, level: str, text: str) -> dict[str, Any]:
    return {"descriptor": {"id": name}, "level": level, "message": {"text": said(text, 1_500)}}
