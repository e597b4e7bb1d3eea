"""Free SQL over evidence and findings, asked in a child process that can do nothing but answer.

A locked DuckDB still runs DROP and UPDATE, and a single function call may ask for any amount of memory: so a question is
put to a copy, in a process without files, sockets or environment, with little memory and little time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.engine.intake import Evidence
from auditor.errors import UsageError
from auditor.model.facts import SCOPES, catalogue, format_time
from auditor.redaction import printable

SECONDS = 10
"""Of a processor. Loading the tables does not count."""
PATIENCE = 30.0
"""Seconds by the clock, with everything but findings, which are loaded at a `_PACE`."""
_PACE = 2**22
"""Bytes a second, at least."""
MEGABYTES = 1024
"""Beyond what the tables themselves take."""
MOST_ROWS = 10_000
LONGEST = 100_000
"""Characters a question may have."""
FINDING = ("id", "account", "rule", "severity", "outcome", "subject_type", "subject", "message", "on_path", "waived")
"""The columns of the table `finding`, beside the tables of the fact catalogue."""
_DIED = "it took too much memory or time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Rows under their column names; values are text, numbers, booleans, None or lists of them. `more`: there were too many."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool


def ask(
    sql: str, evidence: Evidence, findings: Iterable[Mapping[str, Any]], venues: Mapping[str, Mapping[str, Any]]
) -> Answer:
    """What one SELECT says. Tables: those of the catalogue, each with `account_name`, and `finding`, which is made only for
    those who name it (`about_findings`). Raises UsageError.
    """
    if len(sql) > LONGEST:
        raise UsageError(f"the question has more than {LONGEST} characters")
    lines = evidence.folder / "findings.jsonl"
    if about_findings(sql):
        with lines.open("w") as stream:
            stream.writelines(json.dumps(finding) + "\n" for finding in findings)
    request = {
        "sql": sql,
        "parts": [part.told() for part in evidence.parts],
        "now": format_time(evidence.now),
        "venues": venues,
        "findings": str(lines) if about_findings(sql) else None,
    }
    patience = PATIENCE + (lines.stat().st_size / _PACE if about_findings(sql) else 0)
    answer = _told(json.dumps(request, default=str).encode("utf-8", "replace"), evidence.folder, patience)
    if "error" in answer:
        raise UsageError(f"the question was refused: {printable(answer['error'], limit=400)}", hint=answer.get("hint"))
    return Answer(columns=tuple(answer["columns"]), rows=tuple(map(tuple, answer["rows"])), more=answer["more"])


def about_findings(sql: str) -> bool:
    """Whether a question may name the table of findings, which are dear to come by."""
    return "finding" in sql.casefold()


def _told(request: bytes, folder: Path, patience: float) -> dict[str, Any]:
    program = "from auditor.engine import _questioned; _questioned.main()"
    package = Path(__file__).resolve().parents[2]
    try:
        done = subprocess.run(  # noqa: S603  (ourselves)
            [sys.executable, "-c", program],
            input=request,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join([str(package), *sys.path])},
            cwd=folder,
            timeout=patience,
            check=False,
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return {"error": _DIED, "hint": "ask for less: a narrower WHERE, fewer joins, no generated rows"}
    return found


def tables() -> dict[str, list[str]]:
    """Table -> its columns, for people who want to ask."""
    by_scope = {scope: [fact.name for fact in catalogue().values() if fact.scope == scope] for scope in SCOPES}
    return {**{scope: ["account_name", *names] for scope, names in by_scope.items()}, "finding": list(FINDING)}
