"""The report as CSV (RFC 4180, UTF-8, a header): one row a finding, for a spreadsheet or a database.

A text that a spreadsheet would take for a formula gets an apostrophe before it. Numbers stay numbers, and what nobody
knows is an empty cell. Computes no number.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator
from typing import Any

from auditor.model.facts import format_time
from auditor.model.report import AccountReport, Finding, Report
from auditor.reports import _tally
from auditor.reports._numbers import exact
from auditor.reports._words import label, prose

_LONGEST_CELL = 4_000
_STARTS = "=+-@"
_LEADING = " \"'`"


def render(report: Report) -> bytes:
    """UTF-8 CSV, lines ended by CR LF. An account without findings has no row."""
    return b"".join(chunks(report))


def chunks(report: Report) -> Iterator[bytes]:
    """The same, an account at a time."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for account in report.accounts:
        rows = (_row(report, account, finding) for finding in account.findings)
        writer.writerows({name: _cell(given) for name, given in row.items()} for row in rows)
        yield stream.getvalue().encode()
        stream.seek(0)
        stream.truncate()
    yield stream.getvalue().encode()


COLUMNS = (
    *("account", "exchange", "collected_at", "score_low", "score_high", "grade", "coverage"),
    *("finding", "rule", "title", "severity", "outcome", "subject_type", "subject", "fingerprint", "unseen", "message"),
    *("missing", "evidence", "why", "effort", "fix", "steps", "gain", "controls", "incidents", "on_path", "baseline"),
    *("waiver_reason", "waiver_owner", "waiver_until", "run", "sample"),
)
"""The header. Columns are only ever added, at the end."""


def _row(report: Report, account: AccountReport, finding: Finding) -> dict[str, Any]:
    score, subject, waiver = account.score, finding.subject, finding.waiver or {}
    values = (
        *(label(account.name), label(account.exchange), format_time(account.collected_at)),
        *(exact(score.low), exact(score.high), score.grade, exact(score.coverage)),
        *(label(finding.id), label(finding.rule), prose(finding.title, 300)),
        *(finding.severity.value, finding.outcome.value),
        *(label(subject.type), label(subject.label), label(subject.fingerprint), subject.unseen),
        *(prose(finding.message, 600), _listed(_tally.missing(finding)), _listed(_tally.grounds(finding))),
        *(prose(finding.why), label(finding.fix.effort), prose(finding.fix.text), _listed(finding.fix.steps)),
        *(exact(finding.gain), _listed(finding.controls), _listed(finding.incidents), finding.on_path),
        *(label(finding.baseline or ""), *(_said(waiver, key) for key in ("reason", "owner", "until"))),
        *(label(report.run.id), report.run.sample),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _said(waiver: dict[str, str], key: str) -> str | None:
    return prose(str(waiver[key]), 400) if key in waiver else None


def _listed(texts: Any) -> str:
    """Several texts in one cell, one after the other."""
    return prose("; ".join(texts), _LONGEST_CELL)


def _cell(given: Any) -> Any:
    """A value as it stands in the file: empty where nobody knows, and no text that a spreadsheet would compute."""
    if given is None:
        return ""
    if isinstance(given, bool):
        return "true" if given else "false"
    return given if isinstance(given, (int, float)) else _tame(given)


def _tame(text: str) -> str:
    """Neutralises a formula at the start, and after a semicolon: where that separates columns, it would start a cell."""
    return ";".join("'" + part if _is_formula(part) else part for part in text.split(";"))


def _is_formula(text: str) -> bool:
    start = text.lstrip(_LEADING)[:1]
    return start != "" and unicodedata.normalize("NFKC", start)[0] in _STARTS
