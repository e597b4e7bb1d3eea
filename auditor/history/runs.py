"""Runs as records: what is stored of one, how it is found again, and how it becomes a report or a snapshot again.

A run is stored in parts, so that one account of ten thousand can be read alone: the run itself with every score, and of
each account its report, its evidence and its ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from auditor.errors import UsageError
from auditor.history import baseline as baselines
from auditor.history import ledger as ledgers
from auditor.history.baseline import Baseline
from auditor.history.chain import Record
from auditor.history.database import HistoryError
from auditor.history.ledger import Ledger
from auditor.history.store import Parts, TamperedError, View
from auditor.model.evidence import Snapshot
from auditor.model.facts import parse_time
from auditor.model.normalise import normalise, snapshot
from auditor.model.report import SCHEMA, Finding, Report, TrendPoint
from auditor.model.rule import Severity
from auditor.redaction import printable
from auditor.reports import json as json_report

_MOST_TRIED = 50
_OF_THE_RULE = ("title", "severity", "why", "how_we_know", "fix", "controls", "incidents")
_ORDER = tuple(one.name for one in fields(Finding))
INVENTORY = "inventory"
POINTS = 30
"""Runs that a trend in a report goes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run without its accounts' reports. `run` and `summary` are as in the JSON report; `accounts` is name -> a line,
    worst first.
    """

    seq: int
    at: str
    run: dict[str, Any]
    summary: dict[str, Any]
    accounts: dict[str, dict[str, Any]]
    problems: list[dict[str, Any]]


def parts_of(report: Report, collected: Iterable[Snapshot], kept: Mapping[str, Ledger]) -> Parts:
    """What is stored of a run."""
    document = json_report.document(report)
    rows = {row["name"]: row for row in document["accounts"]}
    texts: dict[str, dict[str, Any]] = {}
    parts: dict[tuple[str, str], Any] = {
        ("", "run"): {
            "v": 1,
            "run": document["run"],
            "summary": document["summary"],
            "problems": document["problems"],
            "accounts": [{"name": name, **_line(row)} for name, row in rows.items()],
        }
    }
    for one in collected:
        row = rows[one.name]
        parts[one.name, "findings"] = [_bare(finding, row["exchange"], texts) for finding in row["findings"]]
        parts[one.name, "report"] = {**row, "findings": []}  # apart: they are mostly the same as at the run before
        parts[one.name, "snapshot"] = one.to_document()
        parts[one.name, INVENTORY] = kept[one.name].to_document()
    parts["", "texts"] = {exchange: dict(sorted(said.items())) for exchange, said in sorted(texts.items())}
    return parts


def _bare(finding: Mapping[str, Any], exchange: str, texts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A finding without what its rule says of itself, which is kept once for each exchange."""
    told = {name: finding[name] for name in _OF_THE_RULE}
    same = texts.setdefault(exchange, {}).setdefault(finding["rule"], told) == told
    return {name: value for name, value in finding.items() if not (same and name in _OF_THE_RULE)}


def account_report(view: View, record: Record, account: str) -> dict[str, Any] | None:
    """An account's part of the JSON report of a stored run, whole again."""
    row: dict[str, Any] | None = view.part(record, account, "report")
    if row is None:
        return None
    said = (view.part(record, "", "texts") or {}).get(row["exchange"], {})
    found = view.part(record, account, "findings") or []
    return {**row, "findings": [_whole(finding, said.get(finding["rule"], {})) for finding in found]}


def _whole(finding: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """A finding with its texts, in the order of a report."""
    held = {**told, **finding}
    return {name: held[name] for name in _ORDER if name in held} | held


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    """An account in a line: enough for a list and a trend."""
    outcomes = [(one["outcome"], one["severity"]) for one in row["findings"]]
    keys = row["inventory"]["api_keys"]
    return {
        "exchange": row["exchange"],
        "score": row["score"],
        "failing": {severity.value: outcomes.count(("fail", severity.value)) for severity in Severity},
        "unknown": sum(outcome in {"unknown", "error"} for outcome, _ in outcomes),
        "keys": None if keys is None else len(keys),
    }


def stored(view: View, record: Record) -> StoredRun | None:
    """A run that was stored; None where it was pruned. Raises TamperedError."""
    said = view.part(record, "", "run")
    if said is None:
        return None
    lines = {line["name"]: line for line in said["accounts"]}
    named = {name: said[name] for name in ("run", "summary", "problems")}
    return StoredRun(seq=record.seq, at=record.at, accounts=lines, **named)


def newest(
    view: View, count: int | None = None, *, account: str | None = None
) -> tuple[list[StoredRun], list[TamperedError]]:
    """The newest runs, oldest first, without pruned ones; and what is wrong with those that are left out."""
    found: list[StoredRun] = []
    wrong: list[TamperedError] = []
    for record in view.records("run", newest=count, account=account):
        try:
            one = stored(view, record)
        except TamperedError as error:
            wrong.append(error)
        else:
            found += [one] if one else []
    return found, wrong


def find(view: View, name: str) -> Record:
    """The run of a number (`12`), of an id or of its beginning, or the `last` one. Raises UsageError."""
    records = view.records("run")
    if not records:
        raise UsageError("no run is stored yet", hint="`auditor audit` stores one")
    if name == "last":
        return records[-1]
    if name.isascii() and name.isdigit() and len(name) < 10:  # noqa: PLR2004  (an id is longer)
        found = [one for one in records if one.seq == int(name)]
    else:
        told = {run.seq: run.run["id"] for run in newest(view)[0] if name and run.run["id"].startswith(name)}
        found = [one for one in records if one.seq in told] if len(set(told.values())) == 1 else []
    if not found:
        raise UsageError(f"there is no run {printable(name, limit=40)}", hint="`auditor history list` names them")
    return found[-1]


def report_document(view: View, record: Record) -> dict[str, Any]:
    """The JSON report of a stored run. Raises UsageError for a pruned one, and TamperedError."""
    run = _there(view, record)
    accounts = [account_report(view, record, name) for name in run.accounts]
    return {"schema": SCHEMA, "run": run.run, "summary": run.summary, "accounts": accounts, "problems": run.problems}


def snapshots(view: View, record: Record) -> list[Snapshot]:
    """The evidence of a stored run, in the order of its report. Raises UsageError for a pruned one, and TamperedError."""
    run = _there(view, record)
    return [one for name in run.accounts if (one := snapshot_of(view, record, name)) is not None]


def _there(view: View, record: Record) -> StoredRun:
    run = stored(view, record)
    if run is None:
        raise UsageError(
            f"what run {record.seq} found was pruned", hint="`auditor history list` names those that are kept"
        )
    return run


def snapshot_of(view: View, record: Record, account: str) -> Snapshot | None:
    """The evidence of one account as it was judged."""
    document = view.part(record, account, "snapshot")
    at = parse_time(document["collected_at"]) if document else None
    return snapshot(normalise(document, at), at) if at else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is known of an account before a run. `report` is its part of the JSON report of the run before."""

    record: Record
    ledger: Ledger
    snapshot: Snapshot | None
    report: dict[str, Any] | None
    ruleset: str


def past(view: View, account: str, identity: str | None = None) -> tuple[Past | None, list[HistoryError]]:
    """The newest run of an account that is as it was written, under this identity key; and what is wrong with newer ones."""
    wrong: list[HistoryError] = []
    for record in view.records("run", account=account, newest=_MOST_TRIED)[::-1]:
        try:
            found = _past(view, record, account)
        except TamperedError as error:
            wrong.append(error)
            continue
        if found is not None and identity in {None, found.ledger.identity}:
            return found, wrong
        if found is not None and not wrong:
            hint = (
                "restore identity_key, or go on: keys and addresses seen under the other one are strangers to this one"
            )
            wrong.append(HistoryError("the identity key is not the one that earlier runs were stored with", hint=hint))
    return None, wrong


def _past(view: View, record: Record, account: str) -> Past | None:
    kept, run = view.part(record, account, "inventory"), view.part(record, "", "run")
    if kept is None or run is None:
        return None
    return Past(
        record=record,
        ledger=ledgers.from_document(kept),
        snapshot=snapshot_of(view, record, account),
        report=account_report(view, record, account),
        ruleset=run["run"]["ruleset_sha256"],
    )


def approvals(view: View, account: str) -> tuple[Baseline, list[TamperedError]]:
    """What the owner said about an account. A word that was tampered with counts for nothing, and so does then the rest: what
    was taken back may stand in it.
    """
    said: list[tuple[str, Mapping[str, Any]]] = []
    wrong: list[TamperedError] = []
    for record in view.records("approval", "confirmation", account=account):
        try:
            said.append((record.at, view.part(record, account, record.kind) or {}))
        except TamperedError as error:
            wrong.append(error)
    return (Baseline() if wrong else baselines.fold(said)), wrong


def points(runs: Iterable[StoredRun], account: str) -> tuple[TrendPoint, ...]:
    """The scores of an account over stored runs, oldest first."""
    found: list[TrendPoint] = []
    rules: str | None = None
    for one in runs:
        line = one.accounts.get(account)
        at = parse_time(one.run["started_at"])
        if line is None or at is None:
            continue
        if at == (found[-1].at if found else None):
            found.pop()  # the same run once more, with what its owner answered
        found.append(_point(line, at, changed=rules is not None and rules != one.run["ruleset_sha256"]))
        rules = one.run["ruleset_sha256"]
    return tuple(found)


def _point(line: Mapping[str, Any], at: datetime, *, changed: bool) -> TrendPoint:
    score = line["score"]
    return TrendPoint(
        at=at,
        low=score["low"],
        high=score["high"],
        coverage=score["coverage"],
        failing={severity: line["failing"].get(severity.value, 0) for severity in Severity},
        rules_changed=changed,
    )
