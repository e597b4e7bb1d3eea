"""A JSON report (`auditor/report/1`) back to the Report it was rendered from. Raises InputError for anything else.

It holds a file to the types, ranges and times of a report; whether its numbers follow from its findings is not its business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from auditor.errors import Fault, InputError
from auditor.model.report import SCHEMA, Report, Score

_LARGEST = 256 * 2**20
_GRADE = re.compile("[A-F](-[A-F])?")
_HINT = "a report is what `-f json` writes"


def read(path: Path) -> Report:
    """The report in a file. Its numbers are those of the file: rounded to four decimals when it was written."""
    from auditor import yamlio

    return of_document(_decoded(yamlio.read_text(path, max_bytes=_LARGEST), str(path)), path)


def of_document(document: Any, path: Path | str) -> Report:
    """The report of a decoded document; `path` says where it stood."""
    import msgspec

    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        _refuse(path, f"is not a report: it does not say `schema: {SCHEMA}`", line=1)
    problem: str | None = None
    try:
        report = msgspec.convert(_shaped(document), Report)
        problem = next(_implausible(report), None)
    except msgspec.MsgspecError as error:
        problem = str(error).splitlines()[0][:200]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        problem = "its shape is wrong"
    if problem is not None:
        _refuse(path, f"is not a readable report: {problem}")
    return report


def _refuse(path: Path | str, message: str, *, line: int = 0) -> NoReturn:
    raise InputError([Fault(file=str(path), line=line, message=message, hint=_HINT)])


def _decoded(text: str, file: str) -> Any:
    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            _refuse(file, "is not a readable report: a key stands twice in one table")
        return found

    def constant(name: str) -> NoReturn:
        _refuse(file, f"is not a readable report: {name} is not a number")

    def number(digits: str) -> float:
        """A number as it stands; one that is beyond all numbers would be written as none."""
        return float(digits) if abs(float(digits)) < float("inf") else constant(digits[:40])

    line, problem = 0, ""
    try:
        return json.loads(text, object_pairs_hook=table, parse_constant=constant, parse_float=number)
    except json.JSONDecodeError as error:
        line, problem = error.lineno, f"is not valid JSON: {error.msg}"
    except RecursionError:
        problem = "is nested too deeply"
    except ValueError:
        problem = "holds a number that is too long"
    _refuse(file, problem, line=line)


def _shaped(document: dict[str, Any]) -> dict[str, Any]:
    """The public document in the shape of the value: pairs where it has tables."""
    summary = dict(document["summary"])
    worst = summary.get("worst")
    summary["worst"] = [worst["name"], worst["score"]] if worst else None
    rest: dict[str, Any] = {key: document[key] for key in ("run", "accounts", "problems") if key in document}
    return {"summary": summary, **rest}


def _implausible(report: Report) -> Iterator[str]:
    """What no report of ours says: a share beyond 1, a score beyond 100, a time that does not say which."""
    accounts = report.accounts
    times = [report.run.started_at, report.run.finished_at, *(account.collected_at for account in accounts)]
    if any(moment.tzinfo is None for moment in times):
        yield "a time without its offset"
    scores = [report.summary.worst[1]] if report.summary.worst else []
    for account in accounts:
        scores += [account.score, *([account.with_waivers] if account.with_waivers else [])]
    grades = [*report.summary.grades, *(score.grade for score in scores if score.grade is not None)]
    if not all(_GRADE.fullmatch(grade) for grade in grades):
        yield "a grade that is none"
    if any(not _in_range(score) for score in scores):
        yield "a score or a share out of its range"
    if any(count < 0 for count in report.summary.findings.values()) or report.summary.accounts != len(accounts):
        yield "a count that cannot be"


def _in_range(score: Score) -> bool:
    shares = (score.coverage, score.observed, score.attested)
    ends = (score.low, score.high)
    return all(0 <= end <= 100 for end in ends if end is not None) and all(  # noqa: PLR2004  (percent)
        0 <= share <= 1 for share in shares if share is not None
    )
