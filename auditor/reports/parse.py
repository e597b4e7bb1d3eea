"""A JSON report (`auditor/report/1`) back to the Report it was rendered from. Raises InputError for anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from auditor.errors import Fault, InputError
from auditor.model.report import SCHEMA, Report


def read(path: Path) -> Report:
    """The report in a file. Its numbers are those of the file: rounded to four decimals when it was written."""
    import msgspec

    from auditor import yamlio

    text = yamlio.read_text(path, max_bytes=256 * 2**20)
    try:
        document: Any = msgspec.json.decode(text)
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise InputError(
                [Fault(file=str(path), line=1, message=f"is not a report: it must say `schema: {SCHEMA}`")]
            )
        return msgspec.convert(_shaped(document), Report)
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError, RecursionError) as error:
        detail = str(error).splitlines()[0][:200] if isinstance(error, msgspec.MsgspecError) else "its shape is wrong"
        raise InputError([Fault(file=str(path), line=0, message=f"is not a readable report: {detail}")]) from None


def _shaped(document: dict[str, Any]) -> dict[str, Any]:
    """The public document in the shape of the value: pairs where it has tables."""
    summary = dict(document["summary"])
    worst = summary.get("worst")
    summary["worst"] = [worst["name"], worst["score"]] if worst else None
    return {"run": document["run"], "summary": summary, "accounts": document["accounts"]}
