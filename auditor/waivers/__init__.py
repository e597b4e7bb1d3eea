"""Accepted risks: read, held against a report, and what is wrong with those that cover nothing.

A waiver is bound to a finding and to the state its subject was in when somebody accepted it. It marks a failure and
changes neither its outcome nor the score. Knows the file and the Report; what a second score comes to is the pipeline's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from auditor import yamlio
from auditor.errors import Fault, InputError
from auditor.model.report import AccountReport, Finding, Outcome, RunProblem
from auditor.redaction import printable, scrub
from auditor.values import frozen

FILE = "waivers.yaml"
MOST_DAYS = 366
"""How far ahead a waiver may end: what was acceptable a year ago has to be looked at again."""

_LARGEST = 2**20
_MOST = 10_000
_LONGEST = 400
_FIELDS = ("finding", "state", "reason", "owner", "until")
_ID = re.compile(r"[0-9a-f]{16}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_BY_COMMAND = "`auditor waive FINDING` writes the whole entry"


@frozen
class Waiver:
    """One accepted risk. `until` is the last day it holds, in UTC; `place` is file and line, for people."""

    finding: str
    state: str
    reason: str
    owner: str
    until: date
    place: str = FILE

    def expired(self, now: datetime) -> bool:
        """Whether its last day is over."""
        return now.astimezone(UTC).date() > self.until

    def covers(self, finding: Finding, now: datetime) -> bool:
        """Whether this failure is the one that was accepted, and its subject still what it was."""
        failing = finding.outcome is Outcome.FAIL and finding.state is not None
        return failing and (finding.id, finding.state) == (self.finding, self.state) and not self.expired(now)

    def mark(self) -> dict[str, str]:
        """What a report says of it. Free of secrets and personal data, whatever was written."""
        return {"reason": scrub(self.reason), "owner": scrub(self.owner), "until": self.until.isoformat()}


def load(path: Path, *, now: datetime) -> tuple[Waiver, ...]:
    """The waivers in `path`, in the order of the file. Raises InputError with every fault: then none of them holds."""
    return parse(yamlio.read(path, max_bytes=_LARGEST), now=now)


def parse(document: yamlio.Document, *, now: datetime) -> tuple[Waiver, ...]:
    """The waivers in a document that was read. Raises InputError."""
    reading = _Reading(document, now.astimezone(UTC).date())
    waivers = reading.waivers()
    if reading.faults:
        raise InputError(reading.faults)
    return waivers


def marked(findings: Iterable[Finding], waivers: Sequence[Waiver], now: datetime) -> tuple[Finding, ...]:
    """The findings, each failure that is covered marked with its waiver. Nothing else about them changes."""
    by_id = {waiver.finding: waiver for waiver in waivers}
    return tuple(
        replace(finding, waiver=waiver.mark())
        if (waiver := by_id.get(finding.id)) is not None and waiver.covers(finding, now)
        else finding
        for finding in findings
    )


def taken_out(findings: Iterable[Finding]) -> list[Finding]:
    """The findings as they would be without the accepted failures. An unknown stays unknown: nobody can accept it."""
    return [replace(finding, outcome=Outcome.PASS) if finding.waiver else finding for finding in findings]


def problems(
    accounts: Iterable[AccountReport], waivers: Sequence[Waiver], now: datetime, *, everything: bool = True
) -> tuple[RunProblem, ...]:
    """One for each waiver that covers nothing: expired, stale or unused.

    Where not `everything` was audited, a waiver whose finding is nowhere may belong to what was left out and is not named.
    """
    seen: dict[str, list[Finding]] = {waiver.finding: [] for waiver in waivers}
    for account in accounts if waivers else ():
        for finding in account.findings:
            if finding.id in seen:
                seen[finding.id].append(finding)
    told = [
        problem
        for waiver in waivers
        if (seen[waiver.finding] or everything) and (problem := _problem(waiver, seen[waiver.finding], now))
    ]
    return tuple(told)


def _problem(waiver: Waiver, found: Sequence[Finding], now: datetime) -> RunProblem | None:
    failing = [finding for finding in found if finding.outcome is Outcome.FAIL]
    named = f"the waiver of finding {waiver.finding}" + (f" ({found[0].rule})" if found else "")
    again = f"mend it, or accept it as it is now: `auditor waive {waiver.finding} --reason ... --owner ... --until ...`"
    gone = "take it out of the file if that is for good"
    if waiver.expired(now):
        message, hint = f"expired: {named} ended with {waiver.until}", again if failing else gone
    elif any(waiver.covers(finding, now) for finding in failing):
        return None
    elif failing:
        message = (
            f"stale: {named} covers nothing, because what it is about is not seen to be as it was when it was accepted"
        )
        hint = again
    elif found:
        message, hint = f"unused: {named} covers nothing, because its outcome is {found[0].outcome.value}", gone
    else:
        message, hint = f"unused: {named} covers nothing, because this run has no such finding", gone
    return RunProblem(where=waiver.place, message=message, hint=hint)


@dataclass(slots=True)
class _Reading:
    """One pass over one document; it goes on after a fault."""

    document: yamlio.Document
    today: date
    faults: list[Fault] = field(default_factory=list)

    def fault(self, message: str, *path: str | int, hint: str | None = None) -> None:
        self.faults.append(self.document.fault(message, *path, hint=hint))

    def waivers(self) -> tuple[Waiver, ...]:
        table = self.document.value
        if not isinstance(table, dict):
            self.fault("a file of waivers must be a mapping: version, waivers", hint="begin it with `version: 1`")
            return ()
        if isinstance(table.get("version"), bool) or table.get("version") != 1:
            self.fault("version must be 1", "version", hint="begin the file with `version: 1`")
        for key in table.keys() - {"version", "waivers"}:
            self.fault(f"unknown key {_named(key)}", key, hint="the keys are: version, waivers")
        rows = table.get("waivers")
        if rows is not None and not (isinstance(rows, list) and len(rows) <= _MOST):
            self.fault(f"waivers must be a list of at most {_MOST}", "waivers", hint=_BY_COMMAND)
            return ()
        found = [self.waiver(row, at) for at, row in enumerate(rows or ())]
        times = Counter(one.finding for one in found if one)
        for at, one in enumerate(found):
            if one and times[one.finding] > 1:
                self.fault(f"finding {one.finding} is waived twice", "waivers", at, "finding", hint="keep one of them")
        return tuple(one for one in found if one)

    def waiver(self, row: Any, at: int) -> Waiver | None:
        here, before = ("waivers", at), len(self.faults)
        if not isinstance(row, dict):
            self.fault(f"a waiver must be a mapping: {', '.join(_FIELDS)}", *here, hint=_BY_COMMAND)
            return None
        for key in row.keys() - set(_FIELDS):
            self.fault(f"unknown key {_named(key)} in a waiver", *here, key, hint=f"the keys are: {', '.join(_FIELDS)}")
        texts = {name: self.text(row, *here, name) for name in ("reason", "owner")}
        marks = {name: self.mark(row, *here, name) for name in ("finding", "state")}
        until = self.until(row, *here)
        if until is None or len(self.faults) > before:
            return None
        place = f"{Path(self.document.file).name}:{self.document.line(*here)}"
        return Waiver(**marks, **texts, until=until, place=place)

    def mark(self, row: Mapping[str, Any], *path: str | int) -> str:
        name, value = path[-1], row.get(str(path[-1]))
        if isinstance(value, str) and _ID.fullmatch(value):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            hint = "put it in quotes: without them it is read as a number"
        else:
            hint = "copy it from the report; " + _BY_COMMAND if name == "finding" else _BY_COMMAND
        self.fault(f"a waiver needs {name}: 16 hex digits", *path, hint=hint)
        return ""

    def text(self, row: Mapping[str, Any], *path: str | int) -> str:
        value = row.get(str(path[-1]))
        problem = text_fault(value)
        if problem:
            self.fault(f"a waiver needs {path[-1]}: {problem}", *path, hint="why this risk is accepted, and by whom")
        return str(value)

    def until(self, row: Mapping[str, Any], *here: str | int) -> date | None:
        until, problem = day(row.get("until"), self.today)
        if problem:
            hint = f"the last day on which it holds, in UTC; at most {MOST_DAYS} days ahead"
            self.fault(f"a waiver needs until: {problem}", *here, "until", hint=hint)
        return until


def day(value: Any, today: date) -> tuple[date | None, str | None]:
    """A last day, or what is wrong with it. One that is over is a day: an expired waiver is well-formed."""
    try:
        until = date.fromisoformat(value) if isinstance(value, str) and _DAY.fullmatch(value) else None
    except ValueError:
        until = None
    if until is None:
        return None, "a date such as 2027-01-31"
    return (until, None) if until <= today + timedelta(days=MOST_DAYS) else (None, f"it ends after {MOST_DAYS} days")


def text_fault(value: Any) -> str | None:
    """What is wrong with a reason or an owner, or None."""
    if not isinstance(value, str) or not value.strip():
        return "words"
    if len(value) > _LONGEST:
        return f"at most {_LONGEST} characters"
    return None if printable(value, limit=_LONGEST) == value else "no control or hidden characters"


def _named(key: str) -> str:
    return printable(key, limit=40)
