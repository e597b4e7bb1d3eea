"""The report as SARIF 2.1.0, as GitHub's code scanning reads it: one result a failing finding, help with every rule.

What passes is not told. What nobody could decide is told as notifications of the run, with the score and its coverage:
a reader of this format would take it for an alert, or for nothing. Computes no number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from auditor.model.facts import format_time
from auditor.model.report import AccountReport, Finding, Outcome, Report
from auditor.reports import _tally
from auditor.reports._sarif_rules import LEVELS, described, said
from auditor.reports._wording import SAMPLE, interval, seen, waived
from auditor.reports._words import count, label, reason
from auditor.spool import gathered
from auditor.values import frozen

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_MOST_RESULTS = 25_000
"""GitHub takes no more in one run; further ones go to a further run, of another category."""
_PLACE = "auditor.yaml"
"""GitHub wants a file for every alert. An account is no file: it is named in this one, and in the logical location."""
_MOST_NOTES = 50
_STATES = frozenset({"new", "unchanged", "updated", "absent"})


def render(report: Report) -> bytes:
    """UTF-8 JSON of the official schema."""
    return b"".join(chunks(report))


def chunks(report: Report) -> Iterator[bytes]:
    """The same, an account at a time."""
    told = _Told.of(report)
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": _RUNS}
    before, after = _spelled(document, 0).split(f'"{_RUNS}"')
    yield f"{before}[".encode()
    for place in range(1, told.runs + 1):
        between = "," * (place > 1) + "\n  "
        yield between.encode()
        yield from _run(report, told, place)
    yield f"\n ]{after}\n".encode()


_RUNS, _NOTES, _RESULTS, _ACCOUNTS = "\0runs", "\0notes", "\0results", "\0accounts"
"""What stands for a long list until it is written. No text of a report holds a NUL: it has been made visible."""


def _spelled(value: Any, depth: int) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1).replace("\n", "\n" + " " * depth)
    return text.replace('"\\u0000', '"\0')  # what stands for a list


@frozen
class _Told:
    """What is written of the accounts, spelled already: of each its notes, its results by number, and its numbers."""

    rules: list[dict[str, Any]]
    accounts: Sequence[tuple[list[str], list[str], str]]
    results: int
    errors: bool

    @property
    def runs(self) -> int:
        return max(1, -(-self.results // _MOST_RESULTS))

    @classmethod
    def of(cls, report: Report) -> _Told:
        """Two looks at the accounts: whether anything in a run is waived or new is said with every result of it."""
        failing: list[tuple[bool, bool]] = []  # of each result, whether it is waived, and whether it was compared
        errors = False

        def first() -> Iterator[AccountReport]:
            nonlocal errors
            for account in report.accounts:
                fails = (one for one in account.findings if one.outcome is Outcome.FAIL)
                failing.extend((one.waiver is not None, one.baseline in _STATES) for one in fails)
                errors |= any(one.outcome is Outcome.ERROR for one in account.findings)
                yield account

        rules = described(first())
        parts = [failing[at : at + _MOST_RESULTS] for at in range(0, len(failing), _MOST_RESULTS)]
        shape = [
            {"suppressed": any(waived for waived, _ in part), "compared": all(compared for _, compared in part)}
            for part in parts
        ]
        places = {rule["id"]: at for at, rule in enumerate(rules)}
        return cls(rules=rules, accounts=gathered(_rows(report, places, shape)), results=len(failing), errors=errors)


def _rows(
    report: Report, places: dict[str, int], shape: Sequence[dict[str, bool]]
) -> Iterator[tuple[list[str], list[str], str]]:
    number = 0
    for account in report.accounts:
        results = []
        for finding in account.findings:
            if finding.outcome is Outcome.FAIL:
                said = _result(account, finding, places, **shape[number // _MOST_RESULTS])
                results.append(_spelled(said, 4))
                number += 1
        notes = [_spelled(note, 6) for note in _notes(account)]
        yield notes, results, _spelled({**_tally.account(account), "undecided": _undecided(account)}, 5)


def _run(report: Report, told: _Told, place: int) -> Iterator[bytes]:
    run = {
        "tool": {
            "driver": {
                "name": "auditor",
                "version": label(report.run.version),
                "rules": told.rules,
                "notifications": [{"id": name} for name in ("account", "undecided", "problem", "run")],
            }
        },
        "automationDetails": {"id": "exchange-auditor/" if place == 1 else f"exchange-auditor-{place}/"},
        "invocations": [_invocation(report, told)],
        "results": _RESULTS,
        "properties": {
            "run": label(report.run.id),
            "formula": label(report.run.formula),
            "ruleset": label(report.run.ruleset_sha256),
            "sample": report.run.sample,
            "accounts": _ACCOUNTS,
        },
    }
    text = _spelled(run, 2)
    notes = [_spelled(note, 6) for note in _run_notes(report)]
    first, last = (place - 1) * _MOST_RESULTS, place * _MOST_RESULTS
    lists = (
        (_NOTES, 6, chain(notes, (one for row in told.accounts for one in row[0]))),
        (_RESULTS, 4, islice((one for row in told.accounts for one in row[1]), first, last)),
        (_ACCOUNTS, 5, (row[2] for row in told.accounts)),
    )
    for name, depth, rows in lists:
        before, text = text.split(f'"{name}"')
        yield before.encode()
        yield from _listed(rows, depth)
    yield text.encode()


def _listed(rows: Iterable[str], depth: int) -> Iterator[bytes]:
    """A list as `json` spells it with an indent of one."""
    before = "["
    for row in rows:
        yield f"{before}\n{' ' * depth}{row}".encode()
        before = ","
    yield b"[]" if before == "[" else f"\n{' ' * (depth - 1)}]".encode()


def _undecided(account: AccountReport) -> list[str]:
    """The ids of findings that nobody could decide: they are no results, and are not lost."""
    open_ = {Outcome.UNKNOWN, Outcome.ERROR}
    return [label(finding.id) for finding in account.findings if finding.outcome in open_]


def _result(
    account: AccountReport, finding: Finding, places: dict[str, int], *, suppressed: bool, compared: bool
) -> dict[str, Any]:
    rule, subject = label(finding.rule), finding.subject
    whole = "/".join(map(label, (account.exchange, account.name, subject.type, subject.fingerprint)))
    waiver = [{"kind": "external", "status": "accepted", "justification": said(waived(finding.waiver or {}), 600)}]
    return {
        "ruleId": rule,
        "ruleIndex": places[rule],
        "kind": "fail",
        "level": LEVELS[finding.severity],
        "message": {"text": said(f"{account.name}: {finding.message}", 900)},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": _PLACE}, "region": {"startLine": 1}},
                "logicalLocations": [{"name": label(account.name), "fullyQualifiedName": whole, "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"primaryLocationLineHash": label(finding.id), "auditorFinding/v1": label(finding.id)},
        **({"suppressions": waiver if finding.waiver else []} if suppressed else {}),
        **({"baselineState": finding.baseline} if compared else {}),
        "properties": {
            "account": label(account.name),
            "exchange": label(account.exchange),
            "severity": finding.severity.value,
            "evidence": _tally.grounds(finding),
            "on_path": finding.on_path,
        },
    }


def _invocation(report: Report, told: _Told) -> dict[str, Any]:
    whole = not (told.errors or report.problems or report.summary.incomplete_accounts)
    return {
        "executionSuccessful": whole,
        "startTimeUtc": format_time(report.run.started_at),
        "endTimeUtc": format_time(report.run.finished_at),
        "toolExecutionNotifications": _NOTES,
    }


def _run_notes(report: Report) -> list[dict[str, Any]]:
    notes = [_note("run", "note", SAMPLE)] if report.run.sample else []
    notes += [] if report.accounts else [_note("run", "warning", "No account was audited.")]
    return notes + [_note("run", "error", f"{problem.where}: {problem.message}") for problem in report.problems]


def _notes(account: AccountReport) -> list[dict[str, Any]]:
    score = account.score
    scale = " of 100" if score.low is not None else ""
    notes = [_note("account", "note", f"{account.name}: {interval(score)}{scale}; {seen(score)} could be seen.")]
    for cause in account.causes[:_MOST_NOTES]:
        rules = count(len(cause.rules), "rule")
        text = (
            f"{account.name}: {rules} undecided because {reason(cause.reason)}: {', '.join(cause.rules)}. {cause.how}"
        )
        notes.append(_note("undecided", "warning", text))
    for finding in [item for item in account.findings if item.outcome is Outcome.ERROR][:_MOST_NOTES]:
        text = f"{account.name}: {finding.rule} could not be evaluated: {finding.message}"
        notes.append(_note("undecided", "error", text))
    for problem in account.problems[:_MOST_NOTES]:
        detail = f" ({problem.detail})" if problem.detail else ""
        notes.append(
            _note("problem", "warning", f"{account.name}: {problem.endpoint}: {reason(problem.reason)}{detail}")
        )
    return notes


def _note(name: str, level: str, text: str) -> dict[str, Any]:
    return {"descriptor": {"id": name}, "level": level, "message": {"text": said(text, 1_500)}}
