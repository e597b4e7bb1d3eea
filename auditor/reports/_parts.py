"""A JSON report too long for one file: documents of some hundred accounts each, and an index that leads to them.

The index holds the hash of every part, so that whoever signs or compares it has all of them. Written last, because of that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import resources
from typing import Any

from auditor.model.report import INDEX, AccountReport, Finding, Outcome, Report
from auditor.model.rule import Severity
from auditor.reports import json as whole

MANY, PART = 500, 100
"""Accounts from which on a report is split, and how many of them a part holds: about 30 MB."""
_OPEN = {Outcome.UNKNOWN, Outcome.ERROR}


def pages(report: Report, name: str) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The files of a report in a folder, by name: `name` alone, or its parts (`report-0001.json` ...) and then the index."""
    if len(report.accounts) <= MANY:
        yield name, whole.chunks(report)
        return
    starts = range(0, len(report.accounts), PART)
    parts: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for number, start in enumerate(starts, 1):
        some = replace(report, accounts=report.accounts[start : start + PART])
        digest, before = hashlib.sha256(), len(lines)
        file = f"{name.removesuffix('.json')}-{number:04}.json"

        def written(some: Report = some, number: int = number, digest: Any = digest) -> Iterator[bytes]:
            for chunk in whole.chunks(some, (number, len(starts)), lambda one: lines.append(_line(one, number))):
                digest.update(chunk)
                yield chunk

        yield file, written()
        parts.append({"file": file, "sha256": digest.hexdigest(), "accounts": len(lines) - before})
    yield name, _index(report, parts, lines)


def _index(report: Report, parts: list[dict[str, Any]], lines: list[dict[str, Any]]) -> Iterator[bytes]:
    head = {**whole.head(report), "schema": INDEX}
    del head["part"]
    yield whole.laid({**head, "parts": parts, "accounts": lines, "problems": report.problems}, 2) + b"\n"


def _line(account: AccountReport, part: int) -> dict[str, Any]:
    """An account in a line: enough to find it, and to see whether one wants to."""
    failing = _counted(one for one in account.findings if one.outcome is Outcome.FAIL)
    return {
        "name": account.name,
        "exchange": account.exchange,
        "score": whole.score(account.score),
        "failing": failing,
        "undecided": sum(one.outcome in _OPEN for one in account.findings),
        "part": part,
    }


def _counted(findings: Iterable[Finding]) -> dict[str, int]:
    severities = [one.severity for one in findings]
    return {severity.value: severities.count(severity) for severity in Severity}


def schema() -> dict[str, Any]:
    """The published JSON Schema (2020-12) of the index."""
    text = resources.files("auditor.reports").joinpath("report-index.schema.json").read_bytes()
    described: dict[str, Any] = json.loads(text)
    return described
