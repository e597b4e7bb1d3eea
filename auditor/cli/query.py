"""`auditor query`: read-only SQL over the evidence and the findings of a run. The question is put to a copy in a child process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor.cli import _stored, _voice
from auditor.errors import UsageError
from auditor.redaction import printable

if TYPE_CHECKING:
    from auditor.engine.intake import Evidence
    from auditor.engine.question import Answer
    from auditor.model.report import Report

_WIDEST = 40
"""Characters of a cell on the screen."""
_HELP = """Ask with one SELECT about the last stored run, another one (--run), or evidence files (--evidence).

Tables are those of the fact catalogue (account, api_key, address ...), each with account_name, and finding. What is not
known is NULL; what could not be seen is no row. Times are UTC.

\b
Examples:
  auditor query "SELECT account_name, label FROM api_key WHERE can_withdraw"
  auditor query --tables
"""


@click.command("query", help=_HELP)
@click.argument("sql", required=False)
@click.option("--run", "run", default="last", show_default=True, help="The stored run: its number, its id or last.")
@click.option("--evidence", "files", multiple=True, type=click.Path(path_type=Path), help="Ask evidence files instead.")
@click.option("--tables", is_flag=True, help="Name the tables and their columns.")
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@_stored.CONFIG
def command(
    sql: str | None, run: str, files: tuple[Path, ...], config_path: Path | None, *, tables: bool, form: str
) -> None:
    from auditor.engine import question

    if tables:
        if form == "json":
            _voice.result(json.dumps({name: list(columns) for name, columns in question.tables().items()}, indent=1))
            return
        for name, columns in question.tables().items():
            _voice.result("\n".join(_stored.wrapped(f"{name}: {', '.join(columns)}")))
        return
    if sql is None:
        raise UsageError(
            "what is asked?", hint="auditor query \"SELECT rule, severity FROM finding WHERE outcome = 'fail'\""
        )
    answer = _asked(sql, run, files, config_path)
    _voice.result(_SPELLED[form](answer))
    if answer.more:
        _voice.say(f"only the first {len(answer.rows)} rows are shown")


def _asked(sql: str, run: str, files: Sequence[Path], config_path: Path | None) -> Answer:
    from auditor.engine import question
    from auditor.engine.intake import Evidence
    from auditor.exchanges import _venue

    now = datetime.now(UTC)
    with Evidence(now) as evidence:
        if files:
            evidence.add_files(files)
            report = _judged(evidence, now) if question.about_findings(sql) else None
        else:
            report = _stored_run(run, config_path, evidence)
        venues = {name: _venue.load(name).policy_facts() for name in evidence.exchanges & set(_venue.ids())}
        return question.ask(sql, evidence, _findings(report), venues)


def _judged(evidence: Evidence, now: datetime) -> Report:
    from auditor import identity, pipeline

    run = pipeline.Run(rules=pipeline.rule_files(None), identity=identity.Identity.of_this_run(), now=now)
    return pipeline.judge(evidence, run)


def _stored_run(name: str, config_path: Path | None, evidence: Evidence) -> Report:
    from auditor.history import runs
    from auditor.reports import parse

    store, _ = _stored.opened(config_path)
    with store.reading() as view:
        record = runs.find(view, name)
        evidence.add(snapshot.to_document() for snapshot in runs.snapshots(view, record))
        return parse.of_document(runs.report_stream(view, record), f"run {record.seq}")


def _findings(report: Report | None) -> Iterator[dict[str, Any]]:
    """The rows of the table `finding`."""
    for account in report.accounts if report else ():
        for one in account.findings:
            yield {
                "id": one.id,
                "account": account.name,
                "rule": one.rule,
                "severity": one.severity.value,
                "outcome": one.outcome.value,
                "subject_type": one.subject.type,
                "subject": one.subject.label,
                "message": one.message,
                "on_path": one.on_path,
                "waived": one.waiver is not None,
            }


def _text(answer: Answer) -> str:
    """Columns side by side; a cell that is too wide is cut."""
    cells = [list(answer.columns), *[[_shown(value) for value in row] for row in answer.rows]]
    safe = [[printable(cell, limit=_WIDEST) for cell in row] for row in cells]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in safe]
    ruler = "  ".join("-" * width for width in widths)
    return "\n".join([lines[0], ruler, *lines[1:]])


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json(answer: Answer) -> str:
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    return json.dumps({"rows": rows, "more": answer.more}, indent=1, ensure_ascii=True)


_SPELLED = {"text": _text, "json": _json}
