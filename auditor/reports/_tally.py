"""The numbers that formats for programs carry beside the findings, and values made fit for them. Computes no score.

Knows no format: what comes out are JSON values whose texts are printable and bounded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from auditor.model.report import AccountReport, EvidenceLine, Finding, Outcome, Score
from auditor.model.rule import Severity
from auditor.reports._numbers import exact
from auditor.reports._words import label, prose, reason

_LONGEST_VALUE, _MOST_VALUES, _DEEPEST = 400, 100, 4
_LARGEST = 2**53

Counts = dict[str, dict[str, int]]


def counts(findings: Iterable[Finding]) -> Counts:
    """Findings by severity and outcome, all of both named: `{"critical": {"pass": 1, "fail": 0, ...}, ...}`."""
    table: Counts = {severity.value: {outcome.value: 0 for outcome in Outcome} for severity in Severity}
    for finding in findings:
        table[finding.severity.value][finding.outcome.value] += 1
    return table


def score(held: Score) -> dict[str, Any]:
    """The numbers of a score as JSON carries them; None where nothing weighted applies."""
    return {
        "low": exact(held.low),
        "high": exact(held.high),
        "coverage": exact(held.coverage),
        "observed": exact(held.observed),
        "attested": exact(held.attested),
    }


def account(held: AccountReport) -> dict[str, Any]:
    """What there is to say of an account in numbers."""
    accepted = score(held.with_waivers) if held.with_waivers else None
    return {
        "name": label(held.name),
        "exchange": label(held.exchange),
        "score": score(held.score),
        **({"with_waivers": accepted} if accepted else {}),
        "findings": counts(held.findings),
    }


def value(given: Any, depth: int = 0) -> Any:
    """A JSON value with every text in it printable, and no more of it than a reader wants."""
    if given is None or isinstance(given, bool) or (isinstance(given, int) and abs(given) <= _LARGEST):
        return given
    if isinstance(given, float):
        return given if abs(given) < float("inf") else str(given)
    if isinstance(given, (list, tuple)) and depth < _DEEPEST:
        return [value(item, depth + 1) for item in given[:_MOST_VALUES]]
    if isinstance(given, dict) and depth < _DEEPEST:
        pairs = list(given.items())[:_MOST_VALUES]
        return {label(str(key)): value(item, depth + 1) for key, item in pairs}
    return prose(str(given), _LONGEST_VALUE)


def grounds(finding: Finding) -> list[str]:
    """What a finding rests on: `api_key.ip_bound = false (api: GET ...)`."""
    return [
        f"{label(line.fact)} = {_short(line.value)} ({prose(line.source, _LONGEST_VALUE)})" for line in finding.evidence
    ]


def _short(given: Any) -> str:
    return prose(json.dumps(value(given), ensure_ascii=False), _LONGEST_VALUE)


def missing(finding: Finding) -> list[str]:
    """What was missing for a finding, why, and how to supply it."""
    return [
        f"{label(item.fact)} is missing because {reason(item.reason)}. {prose(item.how, _LONGEST_VALUE)}"
        for item in finding.missing
    ]


_STATED = ("stated by the owner", "attested", "config")


def is_stated(line: EvidenceLine) -> bool:
    """Whether a fact is the owner's word, or follows from it, and was not observed."""
    return line.source.startswith(_STATED) or f"({_STATED[0]} on " in line.source
