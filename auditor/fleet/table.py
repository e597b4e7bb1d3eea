"""One row an account, as Parquet: what docs/scale.md describes and a warehouse reads. Owner of pyarrow.

Only what fails and what nobody knows is in it; numbers are those of the JSON report.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

from auditor.model.report import AccountReport, Finding, Outcome
from auditor.model.rule import Severity
from auditor.pipeline import is_incomplete
from auditor.reports._numbers import exact

SCHEMA = "auditor/results/1"
_TOLD = {Outcome.FAIL, Outcome.UNKNOWN, Outcome.ERROR}


def name(number: int) -> str:
    """The file of a part."""
    return f"part-{number:06d}.parquet"


class Table:
    """The rows of one part."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, accounts: Sequence[AccountReport]) -> None:
        """Appends a row an account."""
        self.rows += [_row(account) for account in accounts]

    def written(self) -> bytes:
        """The rows as a Parquet file, sorted by name."""
        import pyarrow as pa
        from pyarrow import parquet

        rows = sorted(self.rows, key=lambda row: (row["name"], row["exchange"], row["collected_at"]))
        made, schema = io.BytesIO(), _schema().with_metadata({"schema": SCHEMA})
        parquet.write_table(pa.Table.from_pylist(rows, schema=schema), made, compression="zstd")
        return made.getvalue()


def _schema() -> Any:
    import pyarrow as pa

    text, number, flag, count = pa.string(), pa.float64(), pa.bool_(), pa.int32()
    finding = {
        **dict.fromkeys(("id", "rule", "severity", "outcome"), text),
        **dict.fromkeys(("subject_type", "subject_fingerprint", "subject_label", "message"), text),
        **dict.fromkeys(("on_path", "waived"), flag),
    }
    columns = {
        **dict.fromkeys(("name", "exchange", "kind"), text),
        "collected_at": pa.timestamp("us", tz="UTC"),
        **dict.fromkeys(("score_low", "score_high"), number),
        "grade": text,
        "coverage": number,
        "incomplete": flag,
        **dict.fromkeys((severity.value for severity in Severity), count),
        **dict.fromkeys(("unknown", "error"), count),
        "findings": pa.list_(pa.struct(list(finding.items()))),
    }
    return pa.schema(list(columns.items()))


def _row(account: AccountReport) -> dict[str, Any]:
    told = [one for one in account.findings if one.outcome in _TOLD]
    failing = Counter(one.severity for one in told if one.outcome is Outcome.FAIL)
    outcomes = Counter(one.outcome for one in told)
    return {
        "name": _text(account.name),
        "exchange": _text(account.exchange),
        "kind": _text(account.kind),
        "collected_at": account.collected_at,
        "score_low": exact(account.score.low),
        "score_high": exact(account.score.high),
        "grade": account.score.grade,
        "coverage": exact(account.score.coverage),
        "incomplete": is_incomplete(account),
        **{severity.value: failing[severity] for severity in Severity},
        "unknown": outcomes[Outcome.UNKNOWN],
        "error": outcomes[Outcome.ERROR],
        "findings": [_finding(one) for one in told],
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "id": one.id,
        "rule": one.rule,
        "severity": one.severity.value,
        "outcome": one.outcome.value,
        "subject_type": one.subject.type,
        "subject_fingerprint": one.subject.fingerprint,
        "subject_label": _text(one.subject.label),
        "message": _text(one.message),
        "on_path": one.on_path,
        "waived": one.waiver is not None,
    }


def _text(value: str | None) -> str | None:
    """Text that UTF-8 can hold."""
    return None if value is None else value.encode("utf-8", "replace").decode()
