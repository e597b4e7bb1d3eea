"""The report as `auditor/report/1`: the whole value under the names of the contract, described by report.schema.json.

Escapes what a terminal or a reader could trip over; changes no text beyond lone surrogates, which UTF-8 cannot hold.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

from auditor.model.facts import format_time
from auditor.model.report import SCHEMA, AccountReport, Finding, Report, RunInfo, Score, Summary, TrendPoint
from auditor.model.rule import Severity
from auditor.reports._numbers import exact

_BEYOND_ASCII = re.compile(r"[^ -~\n]")
_DEEP = re.compile(r"\n(?: {14,}| {12}(?=[}\]]))")
"""Line breaks below the rows of an account's rows, such as the steps of a path: a quarter of a report, were they kept."""


def render(report: Report) -> bytes:
    """UTF-8 JSON, two spaces an indent, each step of a path on one line, keys in the order of the contract."""
    return (written(document(report)) + "\n").encode()


def written(document: dict[str, Any]) -> str:
    """JSON values as text: an indent of two spaces, and whatever lies as deep as a step of a path on one line.

    No string can be touched by that: a line break within one is written as an escape.
    """
    text = _DEEP.sub("", json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2))
    return _BEYOND_ASCII.sub(_escape, text)


def schema() -> dict[str, Any]:
    """The published JSON Schema (2020-12) of this format."""
    described: dict[str, Any] = json.loads(
        resources.files("auditor.reports").joinpath("report.schema.json").read_bytes()
    )
    return described


def document(report: Report) -> dict[str, Any]:
    """The report as JSON values."""
    return {
        "schema": SCHEMA,
        "run": _run(report.run),
        "summary": _summary(report.summary),
        "accounts": [_account(account) for account in report.accounts],
        "problems": [_plain(problem) for problem in report.problems],
    }


def _escape(found: re.Match[str]) -> str:
    """Control, format and bidi characters as escapes; only strings can hold any of them."""
    char = found[0]
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"
    return char if char.isprintable() else json.dumps(char)[1:-1]


def _run(run: RunInfo) -> dict[str, Any]:
    return {
        "id": run.id,
        "started_at": format_time(run.started_at),
        "finished_at": format_time(run.finished_at),
        "version": run.version,
        "ruleset_sha256": run.ruleset_sha256,
        "formula": run.formula,
        "sample": run.sample,
    }


def _summary(summary: Summary) -> dict[str, Any]:
    worst = summary.worst
    return {
        "accounts": summary.accounts,
        "worst": {"name": worst[0], "score": _score(worst[1])} if worst else None,
        "findings": {severity.value: summary.findings.get(severity, 0) for severity in Severity},
        "coverage": exact(summary.coverage),
        "unknown_rules": summary.unknown_rules,
        "incomplete_accounts": list(summary.incomplete_accounts),
        "grades": dict(sorted(summary.grades.items())),
    }


def _score(score: Score) -> dict[str, Any]:
    return {
        "low": exact(score.low),
        "high": exact(score.high),
        "grade": score.grade,
        "coverage": exact(score.coverage),
        "observed": exact(score.observed),
        "attested": exact(score.attested),
    }


def _account(account: AccountReport) -> dict[str, Any]:
    return {
        "name": account.name,
        "exchange": account.exchange,
        "venue_name": account.venue_name,
        "kind": account.kind,
        "collected_at": format_time(account.collected_at),
        "score": _score(account.score),
        "with_waivers": _score(account.with_waivers) if account.with_waivers else None,
        "findings": [_finding(finding) for finding in account.findings],
        "inventory": _plain(account.inventory),
        "paths": None if account.paths is None else [_plain(path) for path in account.paths],
        "hardening": _plain(account.hardening) if account.hardening else None,
        "drift": None if account.drift is None else [_plain(one) for one in account.drift],
        "unchanged": account.unchanged,
        "trend": None if account.trend is None else [_trend(point) for point in account.trend],
        "fixes": [{**_plain(step), "gain": exact(step.gain)} for step in account.fixes],
        "questions": [{**_plain(question), "gain": exact(question.gain)} for question in account.questions],
        "causes": [_plain(cause) for cause in account.causes],
        "problems": [{**problem.to_document(), "facts": list(problem.facts)} for problem in account.problems],
    }


def _trend(point: TrendPoint) -> dict[str, Any]:
    ends = {"low": exact(point.low), "high": exact(point.high), "coverage": exact(point.coverage)}
    counts = {severity.value: point.failing.get(severity, 0) for severity in Severity}
    return {"at": format_time(point.at), **ends, "failing": counts, "rules_changed": point.rules_changed}


def _finding(finding: Finding) -> dict[str, Any]:
    """The fields of a Finding are the names of the contract; the numbers alone are rounded."""
    return {**_plain(finding), "gain": exact(finding.gain)}


def _plain(value: Any) -> dict[str, Any]:
    """A frozen value as JSON values under its own names: what `asdict` gives, at a tenth of the time."""
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(value)
    return found
