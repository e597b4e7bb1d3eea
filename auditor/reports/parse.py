"""A JSON report (`auditor/report/1`) back to the Report it was rendered from. Raises InputError for anything else.

It holds a file to the types, ranges and times of a report; whether its numbers follow from its findings is not its business.
A report in parts is read through its index, a part at a time.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from auditor.errors import Fault, InputError
from auditor.model.report import INDEX, SCHEMA, AccountReport, Report, RunInfo, RunProblem, Score, Summary, weight
from auditor.reports._once import TABLES, whole
from auditor.spool import Gathering

_LARGEST = 256 * 2**20
_GRADE = re.compile("[A-F](-[A-F])?")
_PART = re.compile(r"[^/\\\x00-\x1f\x7f]{1,255}\.json")
_HINT = "a report is what `-f json` writes"


def read(path: Path) -> Report:
    """The report in a file. Its numbers are those of the file: rounded to four decimals when it was written."""
    document = _decoded(_text(path), str(path))
    if isinstance(document, dict) and document.get("schema") == INDEX:
        return _of_index(document, path)
    return of_document(document, path)


def of_document(document: Any, path: Path | str) -> Report:
    """The report of a decoded document; `path` says where it stood."""
    gathering = Gathering(weigh=weight)
    said = _taken(document, path, gathering)
    if said.get("part") is not None:
        hint = "give the index beside it, which ends in no number: it leads to all parts"
        _refuse(path, "is one part of a report", hint=hint)
    return _report(said, gathering.done(), path)


def _of_index(index: dict[str, Any], path: Path) -> Report:
    """The report of all parts that an index names. Each must be as it was when the index was written."""
    gathering = Gathering(weigh=weight)
    parts = index.get("parts")
    if not (isinstance(parts, list) and parts and all(isinstance(part, dict) for part in parts)):
        _refuse(path, "is not a readable report: its index names no parts")
    for number, part in enumerate(parts, 1):
        name, mark = part.get("file"), part.get("sha256")
        if not (isinstance(name, str) and _PART.fullmatch(name)):
            _refuse(path, "is not a readable report: its index names a part that lies elsewhere, or none")
        place = path.with_name(name)
        text = _text(place)
        if hashlib.sha256(text.encode()).hexdigest() != mark:
            _refuse(
                place, f"is not the part that {path.name} was written with", hint="keep the files of one run together"
            )
        document = _taken(_decoded(text, str(place)), place, gathering)
        if document.get("part") != {"number": number, "of": len(parts)} or document["run"] != index.get("run"):
            _refuse(place, "is not a readable report: it belongs elsewhere")
    return _report(index, gathering.done(), path)


def _taken(document: Any, path: Path | str, gathering: Gathering[AccountReport]) -> dict[str, Any]:
    """A checked document whose accounts were added to those that are gathered."""
    import msgspec

    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        _refuse(path, f"is not a report: it does not say `schema: {SCHEMA}`", line=1)
    with _readable(path):
        tables = {name: document.get(name, {}) for name in TABLES}
        for row in document["accounts"]:
            gathering.add(msgspec.convert(whole(row, tables), AccountReport))
    return document


@contextmanager
def _readable(path: Path | str) -> Iterator[None]:
    """What is wrong inside is said of the file, without the cause: it may quote what stands there."""
    import msgspec

    problem: str | None = None
    try:
        yield
    except msgspec.MsgspecError as error:
        problem = str(error).splitlines()[0][:200]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        problem = "its shape is wrong"
    if problem is not None:
        _refuse(path, f"is not a readable report: {problem}")


def _report(document: dict[str, Any], accounts: Sequence[AccountReport], path: Path | str) -> Report:
    import msgspec

    with _readable(path):
        summary = dict(document["summary"])
        worst = summary.get("worst")
        summary["worst"] = [worst["name"], worst["score"]] if worst else None
        report = Report(
            run=msgspec.convert(document["run"], RunInfo),
            summary=msgspec.convert(summary, Summary),
            accounts=accounts,
            problems=msgspec.convert(document.get("problems", []), tuple[RunProblem, ...]),
        )
        problem = next(_implausible(report), None)
    if problem is not None:
        _refuse(path, f"is not a readable report: {problem}")
    return report


def _refuse(path: Path | str, message: str, *, line: int = 0, hint: str = _HINT) -> NoReturn:
    raise InputError([Fault(file=str(path), line=line, message=message, hint=hint)])


def _text(path: Path) -> str:
    from auditor import yamlio

    return yamlio.read_text(path, max_bytes=_LARGEST)


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


def _implausible(report: Report) -> Iterator[str]:
    """What no report of ours says: a share beyond 1, a score beyond 100, a time that does not say which."""
    if any(moment.tzinfo is None for moment in (report.run.started_at, report.run.finished_at)):
        yield "a time without its offset"
    if not all(_GRADE.fullmatch(grade) for grade in report.summary.grades):
        yield "a grade that is none"
    if report.summary.worst:
        yield from _odd(report.summary.worst[1])
    if any(count < 0 for count in report.summary.findings.values()) or report.summary.accounts != len(report.accounts):
        yield "a count that cannot be"
    for account in report.accounts:
        if account.collected_at.tzinfo is None:
            yield "a time without its offset"
        yield from _odd(account.score)
        if account.with_waivers:
            yield from _odd(account.with_waivers)


def _odd(score: Score) -> Iterator[str]:
    """What is wrong with a score."""
    if score.grade is not None and not _GRADE.fullmatch(score.grade):
        yield "a grade that is none"
    shares = (score.coverage, score.observed, score.attested)
    ends = (score.low, score.high)
    if not all(0 <= end <= 100 for end in ends if end is not None) or not all(  # noqa: PLR2004  (percent)
        0 <= share <= 1 for share in shares if share is not None
    ):
        yield "a score or a share out of its range"
