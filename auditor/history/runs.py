"""Runs as records: what is stored of one, how it is found again, and how it becomes a report or a snapshot again.

A run is stored in parts, so that one account of ten thousand can be read alone: the run itself with every score, and of
each account its report, its evidence and its ledger.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from auditor.errors import UsageError
from auditor.history import baseline as baselines
from auditor.history import ledger as ledgers
from auditor.history.baseline import Baseline
from auditor.history.chain import Record
from auditor.history.database import HistoryError
from auditor.history.ledger import Ledger
from auditor.history.store import Body, TamperedError, View, edited
from auditor.model.evidence import Snapshot
from auditor.model.facts import parse_time
from auditor.model.normalise import normalise, snapshot
from auditor.model.report import SCHEMA, Report, TrendPoint
from auditor.model.rule import Severity
from auditor.redaction import printable
from auditor.reports import json as json_report
from auditor.reports._once import TABLES, Once
from auditor.values import frozen

_MOST_TRIED = 50
_V = 2
"""How a run is stored. Of version 1, `texts` are what the rules said, by exchange; now they are the tables of a report."""
INVENTORY = "inventory"
POINTS = 30
"""Runs that a trend in a report goes back."""


@frozen
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


def parts_of(report: Report, collected: Iterable[Snapshot], kept: Mapping[str, Ledger]) -> dict[tuple[str, str], Body]:
    """What is stored of a run, ready for it: of ten thousand accounts one is unpacked at a time."""
    once, lines = Once(), []
    parts: dict[tuple[str, str], Body] = {}
    snapshots = {one.name: one for one in collected}
    for account in report.accounts:
        row = json_report.plain(json_report.tree(account, once))
        lines.append({"name": account.name, **_line(row)})
        if (one := snapshots.get(account.name)) is not None:
            said = {
                "findings": row["findings"],  # apart from the rest: they are mostly the same as at the run before
                "report": {**row, "findings": []},
                "snapshot": one.to_document(),
                INVENTORY: kept[one.name].to_document(),
            }
            parts |= {(account.name, kind): Body.of(value) for kind, value in said.items()}
    head = json_report.head(report)
    run = {"v": _V, "run": head["run"], "summary": head["summary"], "problems": json_report.plain(report.problems)}
    parts["", "run"] = Body.of({**run, "accounts": lines})
    parts["", "texts"] = Body.of(json_report.plain(once.tables()))
    return parts


def account_report(view: View, record: Record, account: str) -> dict[str, Any] | None:
    """An account's part of the JSON report of a stored run; what belongs to its rules and actions is in `tables`."""
    row: dict[str, Any] | None = view.part(record, account, "report")
    if row is None:
        return None
    found = view.part(record, account, "findings") or []
    if (view.part(record, "", "run") or {}).get("v") == 1:
        said = (view.part(record, "", "texts") or {}).get(row["exchange"], {})
        found = [{**said.get(finding["rule"], {}), **finding} for finding in found]
    return {**row, "findings": found}


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
    said = report_stream(view, record)
    return {**said, "accounts": list(said["accounts"])}


def report_stream(view: View, record: Record) -> dict[str, Any]:
    """The same, with `accounts` an iterator that reads one after the other, once."""
    run = _there(view, record)
    old = (view.part(record, "", "run") or {}).get("v") == 1
    tables = {name: {} for name in TABLES} if old else view.part(record, "", "texts")
    accounts = _accounts(view, record, run.accounts)
    head = {"schema": SCHEMA, "run": run.run, "summary": run.summary, "part": None}
    return {**head, "accounts": accounts, **tables, "problems": run.problems}


def _accounts(view: View, record: Record, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    for name in names:
        row = account_report(view, record, name)
        if row is not None:
            yield row


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


@frozen
class Past:
    """What is known of an account before a run."""

    record: Record
    ledger: Ledger
    snapshot: Snapshot | None
    ruleset: str
    packed: bytes | None
    """Its findings in the run before: packed, because those of ten thousand accounts are held at once."""

    @property
    def findings(self) -> list[dict[str, Any]] | None:
        """The same, as rows of a JSON report."""
        return None if self.packed is None else json.loads(zlib.decompress(self.packed))


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
        ruleset=run["run"]["ruleset_sha256"],
        packed=None if (found := view.raw(record, account, "findings")) is None else zlib.compress(found, 1),
    )


def approvals(
    view: View, account: str, *, also: tuple[str, Mapping[str, Any]] | None = None
) -> tuple[Baseline, list[TamperedError]]:
    """What the owner said about an account, and says now (`also`). A word that was tampered with counts for nothing, and so
    does then the rest: what was taken back may stand in it.
    """
    said: list[tuple[str, Mapping[str, Any]]] = []
    wrong: list[TamperedError] = []
    for record in view.records("approval", "confirmation", account=account):
        try:
            said.append((record.at, _spelled_out(view, account, view.part(record, account, record.kind) or {})))
        except TamperedError as error:
            wrong.append(error)
    said += [also] if also else []
    return (Baseline() if wrong else baselines.fold(said)), wrong


def _spelled_out(view: View, account: str, said: Mapping[str, Any]) -> Mapping[str, Any]:
    """A word of the owner; one about everything that a run saw names the run only."""
    if "run" not in said:
        return said
    record = view.record_of(said["run"])
    kept = view.part(record, account, INVENTORY) if record else None
    if kept is None:
        raise TamperedError(edited(said["run"], f"what was approved of {account} is gone"))
    ledger = ledgers.from_document(kept)
    there = {
        one.place: True for one in ledger.held if one.present and one.mark not in ledger.unlisted.get(one.scope, ())
    }
    return baselines.approval(there, ledger, by=said["by"], whole=True)


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
