"""The report as `auditor/report/1`: the whole value under the names of the contract, described by report.schema.json.

Escapes what a terminal or a reader could trip over; changes no text beyond lone surrogates, which UTF-8 cannot hold.
Accounts are written one after the other, so that ten thousand of them need the memory of one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from auditor.model.facts import format_time
from auditor.model.report import SCHEMA, AccountReport, AttackPath, Finding, Report, RunInfo, Score, Summary, TrendPoint
from auditor.model.rule import Severity
from auditor.reports._numbers import exact
from auditor.reports._once import Once, Steps

_BEYOND_ASCII = re.compile(r"[^ -~\n]")
_LEVELS = 2
"""How deep in an account (or another table) things stand on lines of their own: its keys, and the rows of its lists."""


def render(report: Report) -> bytes:
    """UTF-8 JSON: each finding, path and question on one line, keys in the order of the contract."""
    return b"".join(chunks(report))


def chunks(
    report: Report, part: tuple[int, int] | None = None, passing: Callable[[AccountReport], None] = lambda _one: None
) -> Iterator[bytes]:
    """The same, an account at a time. `part` is (number, of how many) where `report` holds some of the accounts of a run;
    `passing` is shown each account as it goes by.
    """
    once = Once()
    said = head(report, part)
    yield b"{\n" + b"".join(b'  "%b": %b,\n' % (name.encode(), laid(value, 2, "  ")) for name, value in said.items())
    yield b'  "accounts": ['
    between = b"\n    "
    for account in report.accounts:
        passing(account)
        yield between + laid(tree(account, once), _LEVELS, "    ")
        between = b",\n    "
    yield b"\n  ]" if report.accounts else b"]"
    for name, value in (*once.tables().items(), ("problems", list(report.problems))):
        yield b',\n  "%b": %b' % (name.encode(), laid(value, 2, "  "))
    yield b"\n}\n"


def written(document: Mapping[str, Any], levels: int = 5) -> str:
    """JSON values as text: whatever lies deeper than `levels` on one line, all else on lines of their own."""
    return laid(document, levels).decode()


def laid(value: Any, levels: int, indent: str = "") -> bytes:
    """A JSON value with its entries on lines of their own down to `levels`, and whatever lies deeper on the line of its own."""
    if not (isinstance(value, (dict, list, tuple)) and value and levels > 0):
        return encoded(value)
    inner = f"{indent}  "
    before, after = b",\n" + inner.encode(), b"\n" + indent.encode()
    if isinstance(value, dict):
        rows = before.join(encoded(name) + b": " + laid(one, levels - 1, inner) for name, one in value.items())
        return b"{" + before[1:] + rows + after + b"}"
    return b"[" + before[1:] + before.join(laid(one, levels - 1, inner) for one in value) + after + b"]"


def encoded(value: Any) -> bytes:
    """A value on one line, without blanks: control, format and bidi characters as escapes, half a surrogate pair replaced."""
    try:
        raw = _encoder()(value)
    except UnicodeEncodeError:
        text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return _BEYOND_ASCII.sub(_escape, text).encode()
    if raw.isascii() and b"\x7f" not in raw:
        return raw
    return _BEYOND_ASCII.sub(_escape, raw.decode()).encode()


@cache
def _encoder() -> Callable[[Any], bytes]:
    import msgspec

    return msgspec.json.Encoder().encode


def plain(value: Any) -> Any:
    """A frozen value as JSON values under its own names: what `asdict` gives, at a tenth of the time."""
    import msgspec

    return msgspec.to_builtins(value)


def schema() -> dict[str, Any]:
    """The published JSON Schema (2020-12) of this format."""
    described: dict[str, Any] = json.loads(
        resources.files("auditor.reports").joinpath("report.schema.json").read_bytes()
    )
    return described


def document(report: Report) -> dict[str, Any]:
    """The report as JSON values."""
    once = Once()
    accounts = [plain(tree(account, once)) for account in report.accounts]
    return {**head(report), "accounts": accounts, **plain(once.tables()), "problems": plain(report.problems)}


def head(report: Report, part: tuple[int, int] | None = None) -> dict[str, Any]:
    """What stands before the accounts."""
    return {"schema": SCHEMA, "run": _run(report.run), "summary": _summary(report.summary), "part": _part(part)}


def _escape(found: re.Match[str]) -> str:
    """Control, format and bidi characters as escapes; only strings can hold any of them."""
    char = found[0]
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"
    return char if char.isprintable() else json.dumps(char)[1:-1]


def _part(part: tuple[int, int] | None) -> dict[str, int] | None:
    return {"number": part[0], "of": part[1]} if part else None


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
        "worst": {"name": worst[0], "score": score(worst[1])} if worst else None,
        "findings": {severity.value: summary.findings.get(severity, 0) for severity in Severity},
        "coverage": exact(summary.coverage),
        "unknown_rules": summary.unknown_rules,
        "incomplete_accounts": list(summary.incomplete_accounts),
        "grades": dict(sorted(summary.grades.items())),
    }


def score(held: Score) -> dict[str, Any]:
    """A score under the names of the contract."""
    return {
        "low": exact(held.low),
        "high": exact(held.high),
        "grade": held.grade,
        "coverage": exact(held.coverage),
        "observed": exact(held.observed),
        "attested": exact(held.attested),
    }


def tree(account: AccountReport, once: Once) -> dict[str, Any]:
    """An account as JSON values, some of them still frozen ones; what belongs to rules and actions goes to `once`."""
    steps = Steps(once)
    paths = None if account.paths is None else [_path(path, once, steps) for path in account.paths]
    return {
        "name": account.name,
        "exchange": account.exchange,
        "venue_name": account.venue_name,
        "kind": account.kind,
        "collected_at": format_time(account.collected_at),
        "score": score(account.score),
        "with_waivers": score(account.with_waivers) if account.with_waivers else None,
        "findings": [_finding(finding, account.exchange, once) for finding in account.findings],
        "inventory": _fields(account.inventory),
        "paths": paths,
        "steps": steps.rows,
        "hardening": _fields(account.hardening) if account.hardening else None,
        "drift": account.drift,
        "unchanged": account.unchanged,
        "trend": None if account.trend is None else [_trend(point) for point in account.trend],
        "fixes": [{**_fields(step), "gain": exact(step.gain)} for step in account.fixes],
        "questions": [{**_fields(question), "gain": exact(question.gain)} for question in account.questions],
        "causes": account.causes,
        "problems": [{**problem.to_document(), "facts": problem.facts} for problem in account.problems],
    }


def _trend(point: TrendPoint) -> dict[str, Any]:
    ends = {"low": exact(point.low), "high": exact(point.high), "coverage": exact(point.coverage)}
    counts = {severity.value: point.failing.get(severity, 0) for severity in Severity}
    return {"at": format_time(point.at), **ends, "failing": counts, "rules_changed": point.rules_changed}


def _finding(one: Finding, exchange: str, once: Once) -> dict[str, Any]:
    said = once.finding(one, exchange)
    return {
        "id": one.id,
        "rule": one.rule,
        "severity": one.severity,
        "outcome": one.outcome,
        "subject": one.subject,
        "message": one.message,
        "missing": one.missing,
        "evidence": one.evidence,
        "fix": said.pop("fix"),
        "gain": exact(one.gain),
        "controls": one.controls,
        "on_path": one.on_path,
        "state": one.state,
        "waiver": one.waiver,
        "baseline": one.baseline,
        **said,
    }


def _path(one: AttackPath, once: Once, steps: Steps) -> dict[str, Any]:
    said = once.path(one, steps)
    return {
        "id": one.id,
        "goal": one.goal,
        "status": one.status,
        "capability": one.capability,
        "cost": one.cost,
        "delay_hours": one.delay_hours,
        "alerts": one.alerts,
        "steps": said.pop("steps"),
        "closed_by": one.closed_by,
        "unknown": one.unknown,
        "residual": one.residual,
        **said,
    }


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}
