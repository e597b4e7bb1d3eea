"""`auditor history diff`: what came and went between two stored runs, and whether the account or the rules did it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor.cli import _stored, _voice
from auditor.redaction import printable

if TYPE_CHECKING:
    from auditor.config import Config
    from auditor.history.chain import Record
    from auditor.history.change import Failing, Turn
    from auditor.history.store import View
    from auditor.model.evidence import Snapshot

_PARTS = {
    "new": "new",
    "fixed": "fixed",
    "unseen": "not decided any more, which mends nothing",
    "new_by_rules": "new because the rules changed",
    "fixed_by_rules": "gone because the rules changed",
}


@click.command("diff", epilog="\b\nExample:\n  auditor history diff 3 last")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B", default="last")
@_stored.CONFIG
@_stored.ACCOUNTS
@_stored.FORM
def diff(before: str, after: str, config_path: Path | None, names: tuple[str, ...], form: str) -> None:
    """New, fixed and unchanged failures between two runs, apart from what comes from other rules.

    Where the runs were judged by different rules, the evidence of both is judged again by today's.
    """
    from auditor.history import runs

    store, settings = _stored.opened(config_path)
    with store.reading() as view:
        a, b = runs.find(view, before), runs.find(view, after)
        turns, other_rules = _turns(view, a, b, settings, names)
    if form == "json":
        told = [{name: _rows(value) for name, value in asdict(one).items()} for one in turns]
        _voice.result(json.dumps({"a": a.seq, "b": b.seq, "rules_changed": other_rules, "accounts": told}, indent=1))
        return
    lines = _stored.wrapped(f"run {a.seq} ({_stored.day(a.at)}) -> run {b.seq} ({_stored.day(b.at)})")
    if other_rules:
        lines += _stored.wrapped(
            "the rules changed between them; both were judged again by today's to tell what that did"
        )
    for one in turns:
        lines += ["", *_told(one)]
    _voice.result("\n".join(lines))


def _turns(view: View, a: Record, b: Record, settings: Config, names: Sequence[str]) -> tuple[list[Turn], bool]:
    from auditor.history import change, runs

    old, new = runs.report_document(view, a), runs.report_document(view, b)
    other_rules = old["run"]["ruleset_sha256"] != new["run"]["ruleset_sha256"]
    before, after = _failing(old), _failing(new)
    again_before = again_after = None
    if other_rules:
        again_before = _failing(_again(runs.snapshots(view, a), settings))
        again_after = _failing(_again(runs.snapshots(view, b), settings))
    seen = {account["name"]: account["findings"] for account in new["accounts"]}
    turns = []
    for name in sorted({*before, *after}):
        if names and name not in names:
            continue
        if name not in before or name not in after:
            turns.append(change.Turn(account=name, only_in="a" if name in before else "b"))
            continue
        same = None
        if again_before is not None and again_after is not None:
            same = (again_before.get(name, {}), again_after.get(name, {}))
        left = change.undecided(before[name], seen[name])
        turns.append(change.turn(name, before[name], after[name], same, left))
    return turns, other_rules


def _failing(document: Mapping[str, Any]) -> dict[str, Failing]:
    return {
        account["name"]: {
            row["id"]: (row["severity"], row["rule"], row["subject"]["label"], row["id"])
            for row in account["findings"]
            if row["outcome"] == "fail"
        }
        for account in document["accounts"]
    }


def _again(evidence: Iterable[Snapshot], settings: Config) -> dict[str, Any]:
    """Stored evidence judged by today's rules, each account at the moment it was collected, as a JSON report."""
    import os

    from auditor import identity, pipeline
    from auditor.engine.intake import Evidence
    from auditor.reports import json as json_report

    rules = pipeline.rule_files(settings)
    whose = identity.load(settings.identity_key, environ=os.environ)
    accounts: list[Any] = []
    for one in evidence:
        now = one.collected_at
        with Evidence(now).add([one.to_document()]) as judged:
            report = pipeline.judge(judged, pipeline.Run(rules=rules, identity=whose, now=now))
        accounts += json_report.document(report)["accounts"]
    return {"accounts": accounts}


def _rows(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    return [dict(zip(("severity", "rule", "label", "id"), row, strict=True)) for row in value]


def _told(one: Turn) -> list[str]:
    if one.only_in:
        return _stored.wrapped(f"{one.account}: only run {'A' if one.only_in == 'a' else 'B'} looked at it")
    lines = _stored.wrapped(f"{one.account}: {len(one.unchanged)} unchanged")
    for name, title in _PARTS.items():
        rows = sorted(getattr(one, name), key=_worst_first)
        if rows:
            lines.append(f"  {title} ({len(rows)})")
        for severity, rule, label, _ in rows:
            whom = "" if label == one.account else f": {printable(label, limit=80)}"
            lines += _stored.wrapped(f"{severity}  {rule}{whom}", "    ", "        ")
    return lines


def _worst_first(row: tuple[str, str, str, str]) -> tuple[int, str, str]:
    from auditor.model.rule import Severity

    return Severity(row[0]).rank, row[1], row[2]
