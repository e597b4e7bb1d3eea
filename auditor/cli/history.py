"""`auditor history`: stored runs: which there are, what changed between two, how the score went, and whether they are intact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor.cli import _compare, _stored, _upkeep, _voice

if TYPE_CHECKING:
    from auditor.history.chain import Record
    from auditor.history.runs import StoredRun
    from auditor.model.report import TrendPoint

_BAR = 100
_NARROW = 64
_HELP = """Stored runs: `auditor audit` stores each one, signed and chained, so that nobody can edit them unseen.

RUN is the number of a run, the beginning of its id, or `last`. `auditor report RUN -f html` renders one again.

\b
Examples:
  auditor history list
  auditor history diff 3 last
  auditor history verify
"""


@click.group("history", help=_HELP)
def command() -> None:
    pass


command.add_command(_compare.diff)
command.add_command(_upkeep.verify)
command.add_command(_upkeep.prune)
command.add_command(_upkeep.signers)


@command.command("list", epilog="\b\nExample:\n  auditor history list -f json")
@_stored.CONFIG
@_stored.FORM
@click.option("-n", "--newest", type=click.IntRange(1), metavar="N", help="Only the newest N.")
def list_(config_path: Path | None, form: str, newest: int | None) -> None:
    """Every run, approval and tombstone, oldest first."""
    from auditor.history import runs

    store, _ = _stored.opened(config_path)
    with store.reading() as view:
        found = {one.seq: one for one in runs.newest(view)[0]}
        rows = [_row(one, found.get(one.seq), kept=bool(view.listed(one.seq))) for one in view.records(newest=newest)]
    if form == "json":
        _voice.result(json.dumps(rows, indent=1))
        return
    _voice.result("\n".join(line for row in rows for line in _line(row)) or "nothing is stored yet")


def _row(record: Record, run: StoredRun | None, *, kept: bool = False) -> dict[str, Any]:
    """A record in a line. A run that is kept and cannot be read was tampered with."""
    row: dict[str, Any] = {"number": record.seq, "kind": record.kind, "at": record.at}
    if record.kind != "run":
        return row
    if run is None:
        return {**row, "pruned": not kept, "tampered": kept}
    return {
        **row,
        "pruned": False,
        "tampered": False,
        "id": run.run["id"],
        "ruleset_sha256": run.run["ruleset_sha256"],
        "accounts": sorted(run.accounts),
        "worst": run.summary["worst"],
        "failing": run.summary["findings"],
        "coverage": run.summary["coverage"],
    }


def _line(row: dict[str, Any]) -> list[str]:
    start = f"{row['number']:>5}  {_stored.day(row['at'])}  "
    if row["kind"] != "run":
        return _stored.wrapped(f"{start}{row['kind']}", then=" " * 7)
    if "id" not in row:
        how = "pruned" if row["pruned"] else "tampered with: `auditor history verify` says how"
        return _stored.wrapped(f"{start}run, {how}", then=" " * 7)
    worst = row["worst"]
    told = (
        f"worst {worst['name']} {_interval(worst['score']['low'], worst['score']['high'])}" if worst else "no account"
    )
    names = len(row["accounts"])
    counted = f"{names} account{'' if names == 1 else 's'}"
    return _stored.wrapped(f"{start}{row['id']}  {counted}; {told}; {_failing(row['failing'])}", then=" " * 7)


def _interval(low: float | None, high: float | None) -> str:
    return "nothing to score" if low is None or high is None else f"{low:.0f}-{high:.0f}"


def _failing(counts: dict[Any, int]) -> str:
    told = [f"{count} {severity}" for severity, count in counts.items() if count]
    return f"failing: {', '.join(told)}" if told else "nothing fails"


@command.command("show", epilog="\b\nExample:\n  auditor history show last")
@click.argument("run", metavar="RUN", default="last")
@_stored.CONFIG
@_stored.FORM
def show(run: str, config_path: Path | None, form: str) -> None:
    """One run in brief: with which rules, and each account's score. `auditor report RUN` renders all of it."""
    from dataclasses import asdict

    from auditor.history import runs

    store, _ = _stored.opened(config_path)
    with store.reading() as view:
        record = runs.find(view, run)
        found = runs.stored(view, record)
    if found is None:
        _voice.result(json.dumps(_row(record, None), indent=1) if form == "json" else f"run {record.seq} was pruned")
        return
    if form == "json":
        _voice.result(json.dumps(asdict(found), indent=1))
        return
    info = found.run
    lines = _stored.wrapped(
        f"run {found.seq} ({info['id']}), {_stored.day(info['started_at'])} UTC, auditor {info['version']}"
    )
    lines += _stored.wrapped(
        f"rules {info['ruleset_sha256'][:12]}, formula {info['formula']}, signed by {_key(record)}"
    )
    for name, line in found.accounts.items():
        score = line["score"]
        told = f"{name} ({line['exchange']}): {_interval(score['low'], score['high'])}, {_failing(line['failing'])}"
        keys = "keys not seen" if line["keys"] is None else f"{line['keys']} keys seen"
        lines += _stored.wrapped(f"{told}, {line['unknown']} open, {keys}", "  ", "      ")
    lines += [
        line
        for one in found.problems
        for line in _stored.wrapped(f"{one['where']}: {one['message']}", "  ! ", "      ")
    ]
    _voice.result("\n".join(lines))


def _key(record: Record) -> str:
    from auditor import signing

    return signing.key_id(bytes.fromhex(record.signer))


@command.command("trend", epilog="\b\nExample:\n  auditor history trend -a main-okx")
@_stored.CONFIG
@_stored.ACCOUNTS
@_stored.FORM
@click.option(
    "-n", "--newest", type=click.IntRange(1), default=50, show_default=True, metavar="N", help="Runs to go back."
)
def trend(config_path: Path | None, names: tuple[str, ...], form: str, newest: int) -> int:
    """Score interval, coverage and failures of each account over time, with a small chart."""
    from auditor.history import runs

    store, _ = _stored.opened(config_path)
    with store.reading() as view:
        stored, code = _stored.accounts(view, names)
        known = [one.ledger.account for one in stored]
        kept = {name: runs.newest(view, newest, account=name) for name in known}
    points = {name: runs.points(found, name) for name, (found, _) in kept.items()}
    for error in {error.message: error for _, wrong in kept.values() for error in wrong}.values():
        _voice.complain(error)
        code = error.exit_code
    if form == "json":
        _voice.result(json.dumps({name: [_point(one) for one in found] for name, found in points.items()}, indent=1))
        return code
    lines: list[str] = []
    for name, found in points.items():
        lines += [name, *_table(found), ""]
    _voice.result("\n".join(lines[:-1]))
    return code


def _point(one: TrendPoint) -> dict[str, Any]:
    from auditor.model.facts import format_time

    counts = {severity.value: count for severity, count in one.failing.items()}
    ends = {"low": one.low, "high": one.high, "coverage": one.coverage}
    return {"at": format_time(one.at), **ends, "failing": counts, "rules_changed": one.rules_changed}


def _table(points: Sequence[TrendPoint]) -> list[str]:
    """A line a run: when, from where to where, how much is known, what fails, and the interval drawn on a scale to 100."""
    wide = _stored.width()
    spelled, room = ("%m-%d %H:%M", 0) if wide < _NARROW else ("%Y-%m-%d %H:%M", min(40, wide - 51))
    lines = [f"  {'when (UTC)':{len(spelled)}}  {'score':>7}  {'known':>5}  {'c/h/m/l':12}"]
    lines[0] = lines[0].rstrip() if not room else f"{lines[0]}  0{'100':>{room - 1}}"
    for one in points:
        if one.rules_changed:
            lines.append("  -- other rules from here on")
        at = one.at.astimezone(UTC).strftime(spelled)
        ends = "-" if one.low is None or one.high is None else f"{one.low:.0f}-{one.high:.0f}"
        known = "-" if one.coverage is None else f"{one.coverage:.0%}"
        counts = "/".join(str(count) for severity, count in one.failing.items() if severity != "info")
        line = f"  {at}  {ends:>7}  {known:>5}  {counts:12}{_drawn(one, room)}".rstrip()
        lines += _stored.wrapped(line, then="      ")
    return lines


def _drawn(one: TrendPoint, room: int) -> str:
    """What is certain, what is possible, and the rest: `####----....`."""
    if not room or one.low is None or one.high is None:
        return ""
    low, high = round(one.low * room / _BAR), round(one.high * room / _BAR)
    return "  " + "#" * low + "-" * (high - low) + "." * (room - high)
